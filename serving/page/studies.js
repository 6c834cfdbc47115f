// The tabs of the open studies: one shows, each is closed by itself. What is open is found again when the page is loaded anew.
(function () {
  "use strict";
  const { on, send, words, filled } = window.medvlm;
  const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name || "", textContent: text || "" });

  function studies(element) {
    const list = element.querySelector(".mv-studies");
    list.setAttribute("aria-label", words.studies.list);
    let said = "";

    function tab(one) {
      const root = make("span", "mv-study"), name = make("button", "mv-name", one.title + (one.unsaved ? " •" : "")), close = make("button", "mv-close", "✕");
      name.type = close.type = "button";
      if (one.shown) name.setAttribute("aria-current", "true");
      name.title = one.unsaved ? filled(words.studies.unsaved, one) : one.title;
      close.setAttribute("aria-label", filled(words.studies.close, one));
      close.title = words.studies.close_title;
      name.addEventListener("click", () => { if (!one.shown) send("show_study", { tab: one.tab }); });
      close.addEventListener("click", () => { if (!one.unsaved || window.confirm(words.studies.lost)) send("close_study", { tab: one.tab }); });
      root.append(name, close);
      return root;
    }
    on("message", (detail) => {
      if (!detail.studies || JSON.stringify(detail.studies) === said) return;
      said = JSON.stringify(detail.studies);
      const focused = [...list.querySelectorAll("button")].indexOf(document.activeElement);
      list.replaceChildren(...detail.studies.map(tab));
      if (focused >= 0) [...list.querySelectorAll("button")].slice(0, focused + 1).pop()?.focus();
      const shown = list.querySelector("[aria-current]");
      if (shown) shown.scrollIntoView({ block: "nearest", inline: "nearest" });
    });
    list.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], names = [...list.querySelectorAll(".mv-name")], at = names.indexOf(event.target);
      if (!step || at < 0) return;
      event.preventDefault(); event.stopPropagation();
      names[(at + step + names.length) % names.length].focus();
    });
  }

  Object.assign(window.medvlm, { studies });
})();
