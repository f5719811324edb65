import js from '@eslint/js';
import prettier from 'eslint-config-prettier';
import globals from './scripts/eslint-globals.js';
import tseslint from 'typescript-eslint';

// Time, randomness and the machine come through services only, or a simulation could not replay a seed (style.md 1).
const hidden = [
  { name: 'Date', message: 'Inject CLOCK: time must be the same again for the same seed.' },
  { name: 'setTimeout', message: 'Inject CLOCK and use after() or sleep().' },
  { name: 'setInterval', message: 'Inject CLOCK and use after() or sleep().' },
  { name: 'setImmediate', message: 'Work per tick belongs into endBatch().' },
  { name: 'performance', message: 'Use ctx.loop.nowUs or inject CLOCK.' },
];
const hiddenProperties = [
  { object: 'Math', property: 'random', message: 'Use createRandom(seed) or inject RANDOM.' },
  { object: 'process', property: 'hrtime', message: 'Inject CLOCK.' },
  { object: 'process', property: 'nextTick', message: 'Work per tick belongs into endBatch().' },
];

export default tseslint.config(
  {
    ignores: [
      '**/dist/',
      '**/build*/',
      '**/node_modules/',
      'coverage/',
      '**/prebuilds/',
      'packages/create-mars-brick/template/',
    ],
  },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked.map((config) => ({ ...config, files: ['**/*.ts'] })),
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': [
        'error',
        { checksVoidReturn: { arguments: false, attributes: false } },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/unbound-method': 'off',
      'no-restricted-globals': ['error', ...hidden],
      'no-restricted-properties': ['error', ...hiddenProperties],
    },
  },
  {
    files: ['packages/platform/**/*.ts', '**/*.test.ts'],
    rules: { 'no-restricted-globals': 'off', 'no-restricted-properties': 'off' },
  },
  {
    files: ['**/*.mjs', '**/*.cjs', '**/*.js'],
    languageOptions: { globals },
    rules: { 'no-unused-vars': ['error', { argsIgnorePattern: '^_' }] },
  },
  prettier,
);
