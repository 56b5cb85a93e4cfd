// Makes the types of an OpenAPI document and compiles what uses them, in one process: `node check.mjs <openapi.json> <folder for the types>
// [<snippet of the docs>]`. The snippet lies in that folder, and is compiled as the two kinds of projects there are would: as Node resolves
// modules, and as bundlers do.
// `defaultNonNullable`: what has a default may be left out of a request. Says what the compiler says, and ends with 1 where that is anything.

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import openapi, { astToString } from "openapi-typescript";
import ts from "typescript";

const [document, folder, snippet] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const types = join(folder, "fernamt.d.ts"); // so called in the docs
writeFileSync(types, astToString(await openapi(JSON.parse(readFileSync(document, "utf8")), { defaultNonNullable: false })));

const { options, fileNames } = ts.parseJsonConfigFileContent(ts.readConfigFile(join(here, "tsconfig.json"), ts.sys.readFile).config, ts.sys, here);
const installed = { "openapi-fetch": [join(here, "node_modules/openapi-fetch/dist/index.d.mts")] };
const bundled = { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };
const programs = [[fileNames, { ...options, paths: { "#api": [types] } }]];
for (const as of snippet === undefined ? [] : [{}, bundled]) programs.push([[snippet], { ...options, ...as, paths: installed }]);
const found = programs.flatMap(([files, of]) => ts.getPreEmitDiagnostics(ts.createProgram(files, of)));
process.stdout.write(ts.formatDiagnostics(found, { getCanonicalFileName: (name) => name, getCurrentDirectory: () => here, getNewLine: () => "\n" }));
process.exit(found.length > 0 ? 1 : 0);
