// The promise that viewer.js makes in its header: its modules can be joined into one by a trivial rule.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const FOLDER = new URL("../../../ui/viewer/", import.meta.url);
const IMPORT = /^import \{[^}]*\} from "\.\/([\w]+\.js)";$/;

function join(name, seen = []) {
  if (seen.includes(name)) return "";
  seen.push(name);
  let [before, body] = ["", ""];
  for (const line of readFileSync(new URL(name, FOLDER), "utf8").split("\n")) {
    if (line.startsWith("import ")) {
      assert.match(line, IMPORT, `${name}: ${line}`);
      before += join(line.match(IMPORT)[1], seen);
    } else body += `${line}\n`;
  }
  return before + body;
}

test("the joined modules are one module that mounts the viewer", async () => {
  const joined = join("viewer.js");
  const module = await import(`data:text/javascript;base64,${Buffer.from(joined).toString("base64")}`);
  for (const name of ["mount", "encodeState", "decodeState", "watchHash", "writeHash"]) {
    assert.equal(typeof module[name], "function", name);
  }
  assert.equal(module.default, undefined);
});

test("no module of the folder is left out", () => {
  const seen = [];
  join("viewer.js", seen);
  const there = readdirSync(FOLDER).filter((name) => name.endsWith(".js"));
  assert.deepEqual(seen.toSorted(), there.toSorted());
});
