/** No types come with the package: what its default export returns is read off its source. */
declare module "aedes-persistence-level" {
  // biome-ignore lint/suspicious/noExplicitAny: see above
  const aedesPersistenceLevel: (db: unknown) => any;
  // biome-ignore lint/style/noDefaultExport: the package's choice
  export default aedesPersistenceLevel;
}
