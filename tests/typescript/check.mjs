// Makes the types of an OpenAPI document and compiles what uses them, in one process: `node check.mjs <openapi.json> <folder for the types>`.
// `defaultNonNullable`: what has a default may be left out of a request. Says what the compiler says, and ends with 1 where that is anything.

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import openapi, { astToString } from "openapi-typescript";
import ts from "typescript";

const [document, folder] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const types = join(folder, "api.d.ts");
writeFileSync(types, astToString(await openapi(JSON.parse(readFileSync(document, "utf8")), { defaultNonNullable: false })));

const { options, fileNames } = ts.parseJsonConfigFileContent(ts.readConfigFile(join(here, "tsconfig.json"), ts.sys.readFile).config, ts.sys, here);
const program = ts.createProgram(fileNames, { ...options, paths: { "#api": [types] } });
const found = ts.getPreEmitDiagnostics(program);
process.stdout.write(ts.formatDiagnostics(found, { getCanonicalFileName: (name) => name, getCurrentDirectory: () => here, getNewLine: () => "\n" }));
process.exit(found.length > 0 ? 1 : 0);
