// The page: a file, or the microphone, through the model in the worker.

// Hops that the model may take before the sound has gaps: index.html?wait=8 on a slow machine.
const WAIT = Number(new URLSearchParams(location.search).get("wait") ?? 2);
const at = (id) => document.getElementById(id);
const worker = new Worker("worker.js", { type: "module" });
let model, rate, hop, listening;

worker.onerror = () => problem("the worker does not start; serve this folder over http");
worker.onmessage = ({ data }) => {
  if (data.problem) problem(data.problem);
  if (data.model) opened(data.model);
  if ("share" in data) at("progress").textContent = `${Math.round(100 * data.share)} %`;
  if (data.channels) finished(data.channels, data.seconds);
};
worker.postMessage({ kind: "open" });

function problem(text) {
  at("problem").textContent = text;
  at("file").disabled = !model;
}

function opened(said) {
  model = said;
  [rate, hop] = [Number(model.sample_rate), Number(model.hop)];
  at("model").textContent = `${model.name}: ${rate} Hz, ${Math.round(2000 * hop / rate)} ms of delay. `
    + `Licence of the weights: ${model.licence}. Nothing leaves this machine.`;
  at("file").disabled = at("listen").disabled = false;
}

at("file").onchange = async ({ target }) => {
  const [file] = target.files;
  if (!file) return;
  at("problem").textContent = "";
  at("result").hidden = true;
  at("file").disabled = true;
  try {
    // Decoded at the rate of the model, and resampled by the browser where it has another.
    const sound = await new OfflineAudioContext(1, 1, rate).decodeAudioData(await file.arrayBuffer());
    const channels = Array.from({ length: sound.numberOfChannels }, (_, i) => sound.getChannelData(i));
    show("before", channels);
    at("save").download = `${file.name.replace(/\.[^.]*$/, "")}-enhanced.wav`;
    worker.postMessage({ kind: "file", channels });
  } catch (error) {
    problem(`${file.name} is no sound that this browser reads (${error.message})`);
  }
};

function finished(channels, seconds) {
  const long = channels[0].length / rate;
  at("progress").textContent = `${long.toFixed(1)} s of sound in ${seconds.toFixed(1)} s`;
  at("save").href = show("after", channels);
  at("result").hidden = at("file").disabled = false;
}

function show(id, channels) {
  URL.revokeObjectURL(at(id).src);
  at(id).src = URL.createObjectURL(wav(channels));
  return at(id).src;
}

// 16 bits, as every player knows.
function wav(channels) {
  const count = channels.length, samples = channels[0].length, size = 2 * count * samples;
  const view = new DataView(new ArrayBuffer(44 + size));
  const text = (place, word) => [...word].forEach((c, i) => view.setUint8(place + i, c.charCodeAt(0)));
  text(0, "RIFF"), text(8, "WAVEfmt "), text(36, "data");
  view.setUint32(4, 36 + size, true), view.setUint32(16, 16, true), view.setUint16(20, 1, true);
  view.setUint16(22, count, true), view.setUint32(24, rate, true);
  view.setUint32(28, 2 * count * rate, true), view.setUint16(32, 2 * count, true);
  view.setUint16(34, 16, true), view.setUint32(40, size, true);
  for (let i = 0; i < samples; i++) {
    for (let c = 0; c < count; c++) {
      const sample = Math.max(-32768, Math.min(32767, Math.round(32768 * channels[c][i])));
      view.setInt16(44 + 2 * (i * count + c), sample, true);
    }
  }
  return new Blob([view], { type: "audio/wav" });
}

at("listen").onclick = async () => {
  at("problem").textContent = "";
  if (listening) {
    const { context, stream } = listening;
    listening = undefined;
    stream.getTracks().forEach((track) => track.stop());
    await context.close();
    at("listen").textContent = "Listen";
    return;
  }
  let stream, context;
  at("listen").disabled = true; // or a second click would start it twice
  try {
    // The model does these things, and takes sound as it comes.
    const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    stream = await navigator.mediaDevices.getUserMedia({ audio });
    context = new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
    await context.audioWorklet.addModule("recorder.js");
    const options = { processorOptions: { hop, wait: WAIT }, outputChannelCount: [2] };
    const recorder = new AudioWorkletNode(context, "recorder", options);
    const { port1, port2 } = new MessageChannel();
    worker.postMessage({ kind: "live", port: port1 }, [port1]);
    recorder.port.postMessage({ worker: port2 }, [port2]);
    recorder.port.postMessage({ original: at("original").checked });
    recorder.port.onmessage = ({ data: { hops, late } }) => {
      const own = (2 + WAIT) * hop / rate + context.baseLatency + (context.outputLatency || 0);
      at("live").textContent = `${(hops * hop / rate).toFixed(0)} s, ${late} of ${hops} hops late, `
        + `${Math.round(1000 * own)} ms of delay`;
    };
    context.createMediaStreamSource(stream).connect(recorder).connect(context.destination);
    at("original").onchange = ({ target }) => recorder.port.postMessage({ original: target.checked });
    listening = { context, stream, recorder };
    at("listen").textContent = "Stop";
  } catch (error) {
    stream?.getTracks().forEach((track) => track.stop());
    context?.close();
    problem(`the microphone is not heard: ${error.message}`);
  } finally {
    at("listen").disabled = false;
  }
};
