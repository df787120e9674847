// Browsers start no worker in a page that is opened as a file; the search then works in an iframe.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.srcdoc = "<!doctype html>"
      this.inner = new Promise(resolve => {
        frame.onload = () => {
          const inner = frame.contentWindow
          const load = source => new Promise((done, failed) => {
            const script = inner.document.createElement("script")
            Object.assign(script, { src: source, onload: done, onerror: failed })
            inner.document.head.append(script)
          })
          inner.importScripts = (...sources) =>
            sources.reduce((before, source) => before.then(() => load(source)), Promise.resolve())
          inner.postMessage = data => this.tell(data)
          load(new URL(url, location).href).then(() => resolve(inner))
        }
      })
      document.body.append(frame)
    }
    tell(data) {
      const event = new MessageEvent("message", { data })
      this.dispatchEvent(event)
      if (this.onmessage) this.onmessage(event)
    }
    postMessage(data) {
      this.inner.then(inner => inner.dispatchEvent(new inner.MessageEvent("message", { data })))
    }
    terminate() {}
  }
}
