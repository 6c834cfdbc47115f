// What takes longer than a moment: how far it has come, and a button that stops it.
(function () {
  "use strict";
  const { parse } = window.medvlm;

  function working(element, halt, props, watch) {
    const root = element.querySelector(".mv-working"), words = root.querySelector("span"), bar = root.querySelector("progress"), stop = root.querySelector("button");
    stop.addEventListener("click", () => { stop.disabled = true; words.textContent = "Stopping…"; halt(); });
    watch("value", () => {
      const { what, done, of, stopped } = parse(props.value) || {};
      root.hidden = !what;
      if (!what) return;
      stop.disabled = stopped;
      words.textContent = stopped ? "Stopping…" : what + (of ? ", " + done + " of " + of : "…");
      if (of) { bar.max = of; bar.value = done; } else bar.removeAttribute("value");
    });
  }

  Object.assign(window.medvlm, { working });
})();
