/** Required before all else (NODE_OPTIONS): the package loads the addon that DSCONV_ADDON names, for instance one built with a sanitizer. */
const path = require.resolve('node-gyp-build');
require(path);
require.cache[path].exports = () => require(process.env.DSCONV_ADDON);
