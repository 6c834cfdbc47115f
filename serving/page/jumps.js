// Places that a reply names, such as "slice 6", become links to them.
(function () {
  "use strict";
  const { tell, words } = window.medvlm;
  const PLACE = /\b(?:slice|image|frame) (\d+)\b(?!\.\d)/g;

  // The text of an element anew, with a link at each place.
  function jumps(element) {
    const text = element.textContent, parts = [];
    let from = 0;
    for (const found of text.matchAll(PLACE)) {
      const link = Object.assign(document.createElement("button"), { type: "button", className: "mv-jump", textContent: found[0], title: words.chat.jump });
      link.addEventListener("click", (event) => { event.stopPropagation(); tell("jump", Number(found[1]) - 1); });
      parts.push(text.slice(from, found.index), link);
      from = found.index + found[0].length;
    }
    if (parts.length) element.replaceChildren(...parts, text.slice(from));
  }

  Object.assign(window.medvlm, { jumps });
})();
