export const CHROMIUM_FLAGS: string[];
export const SOFTWARE_DAWN_OPTION: string;
export const SOFTWARE_WEBGPU_FLAGS: string[];
