// No click is lost. Gradio's results come through one stream, which the server closes when no result is awaited. Where an
// event joins just then, Gradio can read the answer to the join before the closing, open no other stream, and never hear
// the result. So the answer is handed on only when the stream has told of that event, or is known to be closed.
// Nor is a session lost by staying: Gradio ends it when a tab is about to close, before the user has said whether it shall.
(function () {
  "use strict";
  const { refused, words } = window.medvlm, plain = window.fetch, news = new EventTarget();
  const LATEST = 1000; // ms after a stream's end at which Gradio has read its closing too, or never will
  let told = null; // ids of the events that the open stream has told of; null while Gradio holds none open

  async function stream(request, options) {
    const mine = (told = new Set());
    const tell = () => news.dispatchEvent(new Event("told"));
    const close = () => { if (told === mine) { told = null; tell(); } };
    request.signal.addEventListener("abort", close); // so Gradio ends it once it has read the closing
    try {
      const reply = await plain(request, options);
      read(reply.clone(), (id) => { mine.add(id); tell(); }).catch(() => {}).finally(() => setTimeout(close, LATEST));
      return reply;
    } catch (error) {
      close();
      throw error;
    }
  }
  async function read(reply, heard) {
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let part; !(part = await reader.read()).done;) {
      const lines = (text + part.value).split("\n");
      text = lines.pop();
      for (const [, id] of lines.join("\n").matchAll(/"event_id":"(\w+)"/g)) heard(id);
    }
  }
  const carried = (id) => new Promise((go) => {
    function look() {
      if (told && !told.has(id)) return;
      news.removeEventListener("told", look);
      go();
    }
    news.addEventListener("told", look);
    look();
  });

  const abort = AbortController.prototype.abort;
  AbortController.prototype.abort = function (...reason) {
    if (!window.event || window.event.type !== "beforeunload") abort.apply(this, reason);
  };

  window.fetch = async (request, options) => {
    const { pathname } = new URL(request.url || request, location.href);
    if (pathname.endsWith("/queue/data")) return stream(request, options);
    if (!pathname.endsWith("/queue/join")) return plain(request, options);
    const reply = await plain(request, options).catch(() => Response.json({ detail: words.refused.silent }, { status: 503 })); // which Gradio goes on after
    if (!(await refused.told(reply))) await carried((await reply.clone().json()).event_id);
    return reply;
  };
})();
