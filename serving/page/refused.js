// What the server refuses of the page's own requests: one sentence in the page, and the way on where there is one.
(function () {
  "use strict";
  const { words } = window.medvlm;
  const WAYS = { 401: [words.refused.log_in, "login", "_blank"], 403: [words.refused.load, "./", "_self"] }; // beside the page nothing typed is lost
  let root = null;

  function show(status, detail) {
    if (!root) {
      root = Object.assign(document.createElement("div"), { id: "mv-refused" });
      root.role = "alert";
      document.body.append(root);
    }
    const said = document.createElement("span"), way = WAYS[status];
    said.textContent = (status !== 401 && detail) || words.refused.statuses[status] || words.refused.other;
    root.replaceChildren(said);
    if (way) root.append(Object.assign(document.createElement("a"), { textContent: way[0], href: way[1], target: way[2], rel: "noopener" }));
    root.hidden = false;
  }
  // Whether a reply was a refusal, or there was none, which is then told; the next that is an answer takes it away.
  async function told(reply) {
    if (reply && reply.ok) {
      if (root) root.hidden = true;
      return false;
    }
    const { detail } = reply ? await reply.json().catch(() => ({})) : { detail: words.refused.silent };
    show(reply ? reply.status : 503, typeof detail === "string" ? detail : "");
    return true;
  }

  // A page that a browser kept while its user was elsewhere has lost its lines to the server.
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  Object.assign(window.medvlm, { refused: { show, told } });
})();
