// The page's line to the server: `send` tells it an event, and `on` says what draws what comes of it.
(function () {
  "use strict";
  const { refused } = window.medvlm;
  const BEAT = 20000, RETRY = 1000, LONGEST = 30000, OFTEN = 1000; // ms
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
    entered = entered || name === "enter";
    heed(reply);
    hand(reply.outputs);
    if (reply.more) follow();
  }

  // Every reply says which server it is of, and whether that knows the page. One that was started anew has nothing of what is shown;
  // one that was not asked for long, as while the machine slept, may have forgotten it.
  let first = "", entered = false;
  async function heed({ server, known }) {
    first = first || server;
    if (server !== first) location.reload();
    else if (!known) await anew();
  }
  async function anew() {
    const had = last.message && last.message.studies.length;
    hand({ working: {} }); // what was on its way is lost
    await send("enter", entered ? { again: true } : {});
    if (had && !last.message.studies.length) hand({ gone: true });
  }

  // The results of what takes longer, until the server says that there are no more. They are asked for again and again, less often the
  // longer it takes: requests that are held use up the connections that a browser has for all of its windows.
  let more = false, follows = false, since = 0, read = 0; // `read`: the number of the last result that has come
  function take(outputs) {
    hand(outputs);
    if ("refused" in outputs) refused.show(500); // a fault that ended it
  }
  async function follow() {
    more = true;
    since = performance.now();
    if (follows) return;
    follows = true;
    for (let wait = RETRY; more;) {
      more = false;
      try {
        const reply = await fetch(address("results?read=" + read));
        if (!reply.ok && (await refused.told(reply)) && reply.status < 500) break;
        const said = await reply.json();
        for (const [number, outputs] of said.results || []) {
          read = number;
          if (Object.keys(outputs).some((name) => name !== "working")) since = performance.now();
          take(outputs);
        }
        more = more || said.more; // also where all was read, which the next request tells
        await heed(said);
        if (said.lost) { await anew(); refused.show(0, said.lost); }
        wait = RETRY;
        if (more) await pause(Math.min(OFTEN, (performance.now() - since) / 4));
      } catch { // it broke
        more = true;
        await pause(wait);
        wait = Math.min(LONGEST, 2 * wait);
      }
    }
    follows = false;
  }

  // The server is told that the page is there, and that it is left: what is worked on for it is given up then.
  let missed = false;
  async function beat() {
    const reply = await fetch(address("here")).catch(() => null);
    if (reply && (missed || !reply.ok)) await refused.told(reply);
    missed = !reply || !reply.ok;
    if (!missed) await reply.json().then(heed, () => {});
  }
  async function stay() {
    for (await send("enter"); ; await pause(BEAT)) await beat();
  }
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") beat(); });
  addEventListener("pagehide", () => navigator.sendBeacon(address("left")));

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", stay); else stay();
  Object.assign(window.medvlm, { on, send });
})();
