// After the server has ended and was started anew, the page is loaded anew as well: it then says that what was open is gone. So it
// does where the server has closed it, since it heard nothing of the page for long.
(function () {
  "use strict";
  const { on, words } = window.medvlm, KEY = "medvlm-open", before = sessionStorage.getItem(KEY);

  // Which server it is; Gradio draws the number when it starts.
  const server = () => String(window.gradio_config && window.gradio_config.app_id);

  function tell(text) {
    const root = Object.assign(document.createElement("div"), { id: "mv-gone", textContent: text });
    const close = Object.assign(document.createElement("button"), { type: "button", textContent: "✕", ariaLabel: words.gone.close });
    root.role = "alert";
    close.addEventListener("click", () => root.remove());
    root.append(close);
    document.body.append(root);
  }
  if (before && before !== server()) tell(words.gone.told);
  on("gone", () => tell(words.gone.away));
  on("message", ({ studies }) => {
    if (studies.length) sessionStorage.setItem(KEY, server()); else sessionStorage.removeItem(KEY);
  });
})();
