// Messages of the server, see cdipipe/live/page/messages.py for the layout.

const MAGIC = 0x314c4443; // "CDL1", little-endian
const KINDS = {
  u1: (buffer, offset, count) => new Uint8Array(buffer, offset, count),
  f4: (buffer, offset, count) => new Float32Array(buffer, offset, count),
};

/** What a message says: its text, and under `arrays` its arrays by name, each {shape, values}. */
export function unpack(buffer) {
  const view = new DataView(buffer);
  if (view.getUint32(0, true) !== MAGIC) throw new Error("not a message of this page");
  const text = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, view.getUint32(4, true))));
  const arrays = {};
  for (const { name, type, shape, offset } of text.arrays) {
    arrays[name] = { shape, values: KINDS[type](buffer, offset, shape.reduce((a, b) => a * b, 1)) };
  }
  return { ...text, arrays };
}
