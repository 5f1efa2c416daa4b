/** `node --require use_addon.cjs`: the package loads the addon that DSCONV_ADDON names, for instance one built with a sanitizer. */
const { resolve } = require('node:path');

const path = require.resolve('node-gyp-build');
require(path);
require.cache[path].exports = () => require(resolve(process.env.DSCONV_ADDON));
