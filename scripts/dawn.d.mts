/** Makes `navigator.gpu` Dawn's. @returns why there is no adapter, or null */
export function provideDawn(adapter?: 'software' | 'hardware' | 'any'): Promise<string | null>;

/** Points the Vulkan loader of this process at SwiftShader. @returns why it cannot, or null */
export function chooseSwiftShader(): string | null;
