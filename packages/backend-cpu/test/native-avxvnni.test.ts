import { describeIsa } from './native-isa.js';

await describeIsa('avxvnni');
