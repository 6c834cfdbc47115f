// What the server refuses of the page's own requests: one sentence in the page, and the way on where there is one.
(function () {
  "use strict";
  const SAID = {
    401: "Your log-in has ended, and what was open here was closed on the server. What you have typed stays.",
    403: "The server does not take this from this tab; load the page again.",
    408: "That came too slowly; try again.",
    413: "That is too large; send less at a time.",
    429: "That is too much at once; wait a moment and try again.",
    503: "The server has no room just now or is being started anew; wait a moment and try again.",
  };
  const OTHER = "Something went wrong on the server; try again.";
  const WAYS = { 401: ["Log in again", "login", "_blank"], 403: ["Load the page again", "./", "_self"] }; // beside the page nothing typed is lost
  let root = null;

  function show(status, detail) {
    if (!root) {
      root = Object.assign(document.createElement("div"), { id: "mv-refused" });
      root.role = "alert";
      document.body.append(root);
    }
    const words = document.createElement("span"), way = WAYS[status];
    words.textContent = (status !== 401 && detail) || SAID[status] || OTHER;
    root.replaceChildren(words);
    if (way) root.append(Object.assign(document.createElement("a"), { textContent: way[0], href: way[1], target: way[2], rel: "noopener" }));
    root.hidden = false;
  }
  // Whether a reply was a refusal, which is then told; the next that is none takes it away.
  async function told(reply) {
    if (reply.ok) {
      if (root) root.hidden = true;
      return false;
    }
    const { detail } = await reply.clone().json().catch(() => ({}));
    show(reply.status, typeof detail === "string" ? detail : "");
    return true;
  }

  // A page that a browser kept while its user was elsewhere has lost its lines to the server.
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  window.medvlm = Object.assign(window.medvlm || {}, { refused: { show, told } });
})();
