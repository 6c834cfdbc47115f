// What takes longer than a moment: how far it has come, and a button that stops it.
(function () {
  "use strict";
  const { on, send, words, filled } = window.medvlm;

  function working(element) {
    const root = element.querySelector(".mv-working"), line = root.querySelector("span"), bar = root.querySelector("progress"), stop = root.querySelector("button");
    stop.addEventListener("click", () => { stop.disabled = true; line.textContent = words.working.stopping; send("stop"); });
    on("working", ({ what, done, of, stopped }) => {
      root.hidden = !what;
      if (!what) return;
      stop.disabled = stopped;
      line.textContent = stopped ? words.working.stopping : filled(of ? words.working.under_way : words.working.begun, { what, done, of });
      if (of) { bar.max = of; bar.value = done; } else bar.removeAttribute("value");
    });
  }

  Object.assign(window.medvlm, { working });
})();
