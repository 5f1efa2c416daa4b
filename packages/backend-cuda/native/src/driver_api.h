// The part of NVIDIA's driver API that we use, declared by hand so that no CUDA toolkit is needed to build. Names and values: CUDA Driver API reference.
#pragma once
#include <cstddef>
#include <cstdint>

#ifdef _WIN32
#define DSCONV_CUDAAPI __stdcall
#else
#define DSCONV_CUDAAPI
#endif

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st*;
using CUmodule = struct CUmod_st*;
using CUfunction = struct CUfunc_st*;
using CUstream = struct CUstream_st*;
using CUevent = struct CUevent_st*;
using CUgraph = struct CUgraph_st*;
using CUgraphExec = struct CUgraphExec_st*;

enum : CUresult {
  kCudaSuccess = 0,
  kCudaInvalidValue = 1,
  kCudaOutOfMemory = 2,
  kCudaNotInitialized = 3,
  kCudaDeinitialized = 4,
  kCudaDeviceUnavailable = 46,
  kCudaNoDevice = 100,
  kCudaInvalidDevice = 101,
  kCudaInvalidImage = 200,
  kCudaInvalidContext = 201,
  kCudaNoBinaryForGpu = 209,
  kCudaEccUncorrectable = 214,
  kCudaInvalidPtx = 218,
  kCudaNvlinkUncorrectable = 220,
  kCudaUnsupportedPtxVersion = 222,
  kCudaContained = 226,
  kCudaInvalidHandle = 400,
  kCudaNotFound = 500,
  kCudaNotReady = 600,
  kCudaIllegalAddress = 700,
  kCudaLaunchOutOfResources = 701,
  kCudaLaunchTimeout = 702,
  kCudaContextIsDestroyed = 709,
  kCudaAssert = 710,
  kCudaHardwareStackError = 714,
  kCudaIllegalInstruction = 715,
  kCudaMisalignedAddress = 716,
  kCudaInvalidAddressSpace = 717,
  kCudaInvalidPc = 718,
  kCudaLaunchFailed = 719,
  kCudaTensorMemoryLeak = 721,
  kCudaSystemDriverMismatch = 803,
  kCudaCaptureUnsupported = 900,
  kCudaCaptureInvalidated = 901,
  kCudaUnknown = 999,
};

/** CU_DEVICE_ATTRIBUTE_… */
enum {
  kAttributeMaxGridX = 5,
  kAttributeMaxGridY = 6,
  kAttributeMaxGridZ = 7,
  kAttributeClockRate = 13,
  kAttributeMultiprocessorCount = 16,
  kAttributeMemoryClockRate = 36,
  kAttributeMemoryBusWidth = 37,
  kAttributeL2CacheSize = 38,
  kAttributeMaxThreadsPerMultiprocessor = 39,
  kAttributeComputeCapabilityMajor = 75,
  kAttributeComputeCapabilityMinor = 76,
  kAttributeMaxSharedMemoryPerMultiprocessor = 81,
  kAttributeMaxRegistersPerMultiprocessor = 82,
  kAttributeMaxSharedMemoryPerBlockOptIn = 97,
};

enum {
  /** CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES */
  kFunctionMaxDynamicShared = 8,
  /** CU_STREAM_NON_BLOCKING */
  kStreamNonBlocking = 1,
  kEventBlockingSync = 1,
  kEventDisableTiming = 2,
  /** CU_STREAM_CAPTURE_MODE_RELAXED: other threads, and other calls of this one, do as they like meanwhile. */
  kCaptureRelaxed = 2,
  /** CU_MEMHOSTALLOC_PORTABLE */
  kHostAllocPortable = 1,
  /** CU_JIT_… */
  kJitErrorLogBuffer = 5,
  kJitErrorLogBufferBytes = 6,
};

/** CU_LAUNCH_PARAM_…, markers in the array `extra` of cuLaunchKernel. */
inline void* const kLaunchParamEnd = nullptr;
inline void* const kLaunchParamBufferPointer = reinterpret_cast<void*>(1);
inline void* const kLaunchParamBufferSize = reinterpret_cast<void*>(2);

// X(exported symbol, parameters). The suffixes are those that cuda.h's macros choose; the bare names are an ABI of long ago.
#define DSCONV_DRIVER_FUNCTIONS(X)                                                                                     \
  X(cuInit, (unsigned flags))                                                                                          \
  X(cuDriverGetVersion, (int* version))                                                                                \
  X(cuGetErrorName, (CUresult error, const char** name))                                                               \
  X(cuGetErrorString, (CUresult error, const char** text))                                                             \
  X(cuDeviceGetCount, (int* count))                                                                                    \
  X(cuDeviceGet, (CUdevice * device, int index))                                                                       \
  X(cuDeviceGetName, (char* name, int length, CUdevice device))                                                        \
  X(cuDeviceGetAttribute, (int* value, int attribute, CUdevice device))                                                \
  X(cuDeviceTotalMem_v2, (size_t * bytes, CUdevice device))                                                            \
  X(cuDevicePrimaryCtxRetain, (CUcontext * context, CUdevice device))                                                  \
  X(cuDevicePrimaryCtxRelease_v2, (CUdevice device))                                                                   \
  X(cuCtxSetCurrent, (CUcontext context))                                                                              \
  X(cuCtxSynchronize, ())                                                                                              \
  X(cuModuleLoadDataEx, (CUmodule * module, const void* image, unsigned count, int* options, void** values))           \
  X(cuModuleUnload, (CUmodule module))                                                                                 \
  X(cuModuleGetFunction, (CUfunction * function, CUmodule module, const char* name))                                   \
  X(cuFuncSetAttribute, (CUfunction function, int attribute, int value))                                               \
  X(cuMemAlloc_v2, (CUdeviceptr * address, size_t bytes))                                                              \
  X(cuMemFree_v2, (CUdeviceptr address))                                                                               \
  X(cuMemGetInfo_v2, (size_t * free, size_t* total))                                                                   \
  X(cuMemHostAlloc, (void** address, size_t bytes, unsigned flags))                                                    \
  X(cuMemFreeHost, (void* address))                                                                                    \
  X(cuMemcpyHtoDAsync_v2, (CUdeviceptr to, const void* from, size_t bytes, CUstream stream))                           \
  X(cuMemcpyDtoHAsync_v2, (void* to, CUdeviceptr from, size_t bytes, CUstream stream))                                 \
  X(cuMemcpyDtoDAsync_v2, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream))                           \
  X(cuMemsetD32Async, (CUdeviceptr to, unsigned value, size_t count, CUstream stream))                                 \
  X(cuStreamCreate, (CUstream * stream, unsigned flags))                                                               \
  X(cuStreamDestroy_v2, (CUstream stream))                                                                             \
  X(cuStreamSynchronize, (CUstream stream))                                                                            \
  X(cuStreamBeginCapture_v2, (CUstream stream, int mode))                                                              \
  X(cuStreamEndCapture, (CUstream stream, CUgraph * graph))                                                            \
  X(cuGraphInstantiateWithFlags, (CUgraphExec * executable, CUgraph graph, unsigned long long flags))                  \
  X(cuGraphLaunch, (CUgraphExec executable, CUstream stream))                                                          \
  X(cuGraphExecDestroy, (CUgraphExec executable))                                                                      \
  X(cuGraphDestroy, (CUgraph graph))                                                                                   \
  X(cuEventCreate, (CUevent * event, unsigned flags))                                                                  \
  X(cuEventDestroy_v2, (CUevent event))                                                                                \
  X(cuEventRecord, (CUevent event, CUstream stream))                                                                   \
  X(cuEventQuery, (CUevent event))                                                                                     \
  X(cuEventSynchronize, (CUevent event))                                                                               \
  X(cuEventElapsedTime, (float* milliseconds, CUevent from, CUevent to))                                               \
  X(cuLaunchKernel, (CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, \
                     unsigned shared, CUstream stream, void** params, void** extra))
