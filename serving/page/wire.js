// The page's line to the server: `send` tells it an event, and `on` says what draws what comes of it.
(function () {
  "use strict";
  const { refused } = window.medvlm;
  const RETRY = 1000, LONGEST = 30000; // ms
  const draws = {}, last = {}; // by the name of what is drawn
  const page = [...crypto.getRandomValues(new Uint32Array(4))].map((v) => v.toString(16).padStart(8, "0")).join("");
  const address = (what) => "page/" + page + "/" + what;
  const pause = (ms) => new Promise((go) => setTimeout(go, ms));

  // The window's own number; it stays while the window is open, also when the page is loaded anew.
  function windowName() {
    const name = sessionStorage.getItem("medvlm") || crypto.getRandomValues(new Uint32Array(4)).join("-");
    sessionStorage.setItem("medvlm", name);
    return name;
  }

  // `draw` is called with each value of a name, and with the last one that has come already.
  function on(name, draw) {
    (draws[name] = draws[name] || []).push(draw);
    if (name in last) draw(last[name]);
  }
  function hand(outputs) {
    for (const [name, value] of Object.entries(outputs)) {
      if (name in last && value.seq < last[name].seq) continue; // it was overtaken on its way
      last[name] = value;
      for (const draw of draws[name] || []) try { draw(value); } catch (error) { reportError(error); }
    }
  }

  async function send(name, data = {}) {
    const body = JSON.stringify({ window: windowName(), data });
    const asked = fetch(address("events/" + name), { method: "POST", headers: { "x-medvlm": "1", "content-type": "application/json" }, body });
    const reply = await asked.then(async (reply) => (reply.ok ? { ok: true, ...(await reply.json()) } : reply)).catch(() => null);
    if (await refused.told(reply)) return hand({ refused: name });
    hand(reply.outputs);
    if (reply.more) follow();
  }

  // The results of what takes longer, until the server says that there are no more.
  let more = false, follows = false;
  function take(outputs) {
    hand(outputs);
    if ("refused" in outputs) refused.show(500); // a fault that ended it
  }
  async function follow() {
    more = true;
    if (follows) return;
    follows = true;
    for (let wait = RETRY, broke = false; more;) {
      more = false;
      try {
        const reply = await fetch(address("results"));
        if (!reply.ok && (await refused.told(reply)) && reply.status < 500) break;
        let whole = false;
        for await (const outputs of lines(reply)) if (outputs) { wait = RETRY; take(outputs); } else whole = true;
        if (whole && broke) { broke = false; hand({ working: {} }); send("enter", { again: true }); } // what was on its way may be lost
        if (whole) continue;
      } catch {} // it broke
      more = broke = true;
      await pause(wait);
      wait = Math.min(LONGEST, 2 * wait);
    }
    follows = false;
  }

  // While this line is held the server knows that the page is there. A server that was started anew has nothing of what is shown.
  async function stay() {
    let first = "", lost = false; // the server that was there at the beginning
    for (let wait = RETRY; ; wait = Math.min(LONGEST, 2 * wait), lost = true) {
      try {
        const reply = await fetch(address("here"));
        if (!(await refused.told(reply))) for await (const server of lines(reply)) {
          first = first || server;
          if (server !== first) return location.reload();
          if (lost) { hand({ working: {} }); send("enter", { again: true }); }
          wait = RETRY;
        }
      } catch {} // it broke
      await pause(wait);
    }
  }

  async function* lines(reply) {
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let part; !(part = await reader.read()).done;) {
      const whole = (text + part.value).split("\n");
      text = whole.pop();
      for (const line of whole) if (line) yield JSON.parse(line);
    }
  }

  const begin = () => { send("enter"); stay(); };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin); else begin();
  Object.assign(window.medvlm, { on, send });
})();
