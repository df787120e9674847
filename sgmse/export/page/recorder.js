// Between the microphone and the loudspeaker: hops out to the worker, and what comes of them played
// at a time that is fixed. What is not there by then is silence, and counted.

class Recorder extends AudioWorkletProcessor {
  constructor({ processorOptions: { hop, wait } }) {
    super();
    this.hop = new Float32Array(hop);
    this.filled = 0; // samples of this hop
    this.number = 0; // of it
    this.wait = wait; // hops that the worker has for its work
    this.made = new Map();
    this.came = new Map();
    this.late = 0;
    this.missed = -1;
    this.original = false;
    this.port.onmessage = ({ data }) => {
      if (data.worker) {
        this.worker = data.worker;
        this.worker.onmessage = ({ data: { number, samples } }) => this.made.set(number, samples);
      }
      if ("original" in data) this.original = data.original;
    };
  }

  process([input], [output]) {
    const heard = input[0], size = this.hop.length;
    for (let i = 0; i < output[0].length; i++) {
      this.hop[this.filled++] = heard ? heard[i] : 0;
      const number = this.number - 1 - this.wait; // whose result is played
      const sample = this.original ? this.came.get(number - 1) : this.made.get(number);
      output[0][i] = sample ? sample[this.filled - 1] : 0;
      if (!sample && number > 0 && this.missed !== number) {
        this.late++;
        this.missed = number;
      }
      if (this.filled === size) this.next(number);
    }
    for (const other of output.slice(1)) other.set(output[0]);
    return true;
  }

  next(played) {
    const samples = this.hop.slice();
    this.came.set(this.number, samples);
    this.worker?.postMessage({ number: this.number, samples });
    this.made.delete(played);
    this.came.delete(played - 1);
    for (const number of this.made.keys()) if (number < played) this.made.delete(number);
    this.filled = 0;
    this.number++;
    if (this.number % 50 === 0) this.port.postMessage({ hops: this.number, late: this.late });
  }
}

registerProcessor("recorder", Recorder);
