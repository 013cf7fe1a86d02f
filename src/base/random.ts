/** Chance, as an argument: a number in [0, 1). Production passes Math.random, tests a seeded one. */
export type Random = () => number;
