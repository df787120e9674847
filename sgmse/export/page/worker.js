// The model, beside the page: hops of samples in, hops of the result out, and a state between them.

const RUNTIME = new URL("node_modules/onnxruntime-web/dist/", self.location.href);
const MOST = 32; // hops that may wait; more are dropped, and heard as silence

const WARM = 20; // hops of silence, as the first ones are compiled and take long

let ort, session, model;

async function open() {
  model = await (await fetch("model.json")).json();
  try {
    ort = await import(new URL("ort.wasm.min.mjs", RUNTIME));
  } catch {
    throw new Error("onnxruntime-web is not there; run npm install onnxruntime-web in this folder");
  }
  ort.env.wasm.wasmPaths = RUNTIME.href;
  ort.env.wasm.numThreads = 1;
  session = await ort.InferenceSession.create(model.file, { executionProviders: ["wasm"] });
  let state = start();
  for (let i = 0; i < WARM; i++) [, state] = await step(new Float32Array(Number(model.hop)), state);
  return model;
}

function start() {
  const size = Number(model.state_size);
  return new ort.Tensor("float32", new Float32Array(size), [size]);
}

async function step(hop, state) {
  const audio = new ort.Tensor("float32", hop, [1, hop.length]);
  const { enhanced, next_state } = await session.run({ audio, state });
  return [enhanced.data, next_state];
}

// A recording up to a whole hop, and one more: its end is mirrored, as whoever hears it offline has it.
function ended(x, hop) {
  const mirrored = model.ends === "reflect";
  const heard = Math.max(x.length, hop + 1);
  const whole = Math.ceil(heard / hop) * hop;
  const out = new Float32Array(whole + hop);
  out.set(x);
  for (let i = heard; mirrored && i < whole; i++) out[i] = out[2 * heard - 2 - i];
  for (let i = whole; mirrored && i < whole + hop; i++) out[i] = out[2 * whole - 2 - i];
  return out;
}

async function recording(x, told) {
  const hop = Number(model.hop);
  const heard = ended(x, hop);
  const made = new Float32Array(heard.length - hop);
  let state = start();
  for (let first = 0; first < heard.length; first += hop) {
    let enhanced;
    [enhanced, state] = await step(heard.slice(first, first + hop), state);
    if (first > 0) made.set(enhanced, first - hop); // the first gives what lies before the recording
    if (first % (100 * hop) === 0) told(first / heard.length);
  }
  return made.subarray(0, x.length).slice();
}

// Hops of the microphone, by their numbers.
function live(port) {
  let state = start(), waiting = 0, last = Promise.resolve();
  port.onmessage = ({ data: { number, samples } }) => {
    if (waiting >= MOST) return;
    waiting++;
    last = last.then(async () => {
      let enhanced;
      [enhanced, state] = await step(samples, state);
      port.postMessage({ number, samples: enhanced }, [enhanced.buffer]);
    }).catch((error) => self.postMessage({ problem: error.message })).finally(() => waiting--);
  };
}

self.onmessage = async ({ data }) => {
  try {
    if (data.kind === "open") self.postMessage({ model: await open() });
    if (data.kind === "live") live(data.port);
    if (data.kind === "file") {
      const before = performance.now(), count = data.channels.length;
      const channels = [];
      for (const [i, x] of data.channels.entries()) {
        channels.push(await recording(x, (share) => self.postMessage({ share: (i + share) / count })));
      }
      self.postMessage({ channels, seconds: (performance.now() - before) / 1000 });
    }
  } catch (error) {
    self.postMessage({ problem: error.message });
  }
};
