export { allBrickTypes, composeHost } from './compose.js';
