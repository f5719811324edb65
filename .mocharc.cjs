// Tests run as compiled JavaScript: what is tested is what is shipped.
module.exports = {
  'node-option': ['enable-source-maps', 'expose-gc'],
  timeout: 20_000,
  reporter: process.env.CI ? 'dot' : 'dot',
};
