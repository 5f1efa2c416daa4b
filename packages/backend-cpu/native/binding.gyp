# The addon dsconv_cpu. Every instruction set is a static library of its own with its own flags; the rest assumes no more than the baseline.
{
  "target_defaults": {
    "cflags!": ["-fno-exceptions"],
    "cflags_cc!": ["-fno-exceptions", "-std=gnu++17", "-std=gnu++20", "-fno-rtti"],
    "cflags_cc": ["-std=c++17", "-O3", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-maybe-uninitialized", "-Wno-uninitialized", "-Wno-psabi"],
    "xcode_settings": {"GCC_ENABLE_CPP_EXCEPTIONS": "YES", "CLANG_CXX_LANGUAGE_STANDARD": "c++17", "GCC_OPTIMIZATION_LEVEL": "3", "GCC_SYMBOLS_PRIVATE_EXTERN": "YES", "MACOSX_DEPLOYMENT_TARGET": "11.0"},
  },
  "targets": [
    {
      "target_name": "dsconv_cpu",
      "sources": [
        "src/addon.cc", "src/addon_eager.cc", "src/addon_filter.cc", "src/addon_plan.cc", "src/addon_training.cc", "src/batch_norm.cc", "src/convolve.cc", "src/depthwise.cc", "src/depthwise_fused.cc", "src/dispatch.cc",
        "src/dsconv2d.cc", "src/executor.cc", "src/filter.cc", "src/float_conv.cc", "src/kernels_portable.cc", "src/ops.cc", "src/output.cc", "src/peaks.cc", "src/plan.cc",
        "src/plan_steps.cc", "src/rows.cc", "src/self_test.cc", "src/stem.cc", "src/thread_pool.cc", "src/tiling.cc", "src/training.cc",
      ],
      # Square roots and choices between two numbers become vectors; errno and floating-point exceptions, which nobody reads, would forbid that.
      "cflags_cc": ["-fno-math-errno", "-fno-trapping-math"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "conditions": [
        ["target_arch=='x64'", {"dependencies": ["kernels_avx512vnni", "kernels_avx512bf16", "kernels_avx2", "kernels_avxvnni"]}],
        ["target_arch=='arm64'", {"dependencies": ["kernels_neon"]}],
        ["OS=='linux'", {"libraries": ["-pthread"]}],
      ],
    },
  ],
  "conditions": [
    ["target_arch=='x64'", {"targets": [
      {"target_name": "kernels_avx512vnni", "type": "static_library", "sources": ["src/kernels_avx512vnni.cc"],
       "cflags_cc": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mfma"],
       "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mfma"]}},
      {"target_name": "kernels_avx512bf16", "type": "static_library", "sources": ["src/kernels_avx512bf16.cc"],
       "cflags_cc": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512bf16", "-mfma"],
       "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512bf16", "-mfma"]}},
      {"target_name": "kernels_avx2", "type": "static_library", "sources": ["src/kernels_avx2.cc"],
       "cflags_cc": ["-mavx2", "-mfma"], "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["-mavx2", "-mfma"]}},
      {"target_name": "kernels_avxvnni", "type": "static_library", "sources": ["src/kernels_avxvnni.cc"],
       "cflags_cc": ["-mavx2", "-mfma", "-mavxvnni"], "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["-mavx2", "-mfma", "-mavxvnni"]}},
    ]}],
    ["target_arch=='arm64'", {"targets": [
      {"target_name": "kernels_neon", "type": "static_library", "sources": ["src/kernels_neon.cc"],
       "cflags_cc": ["-march=armv8.2-a+dotprod"]},
    ]}],
  ],
}
