// The conversation. Whatever a user, a file's name or a model says is set as text and never read as HTML.
(function () {
  "use strict";
  const { parse } = window.medvlm;
  const NEAR = 60; // pixels from the end: who reads further up is not pulled down
  const make = (tag, name) => Object.assign(document.createElement(tag), { className: name || "" });

  // Set a text where it is another one, so that a selection in it lives on; whether it was.
  function write(element, text) {
    const other = element.textContent !== text;
    if (other) element.textContent = text;
    return other;
  }

  function chat(element, recall, props, watch) {
    const list = element.querySelector(".mv-chat"), empty = list.querySelector(".mv-chat-empty");
    const rows = [];

    // A row: what is said, which a click recalls, and below it the folded trace.
    function add() {
      const index = rows.length, root = make("div"), said = make("div", "mv-said"), trace = make("details", "mv-trace");
      const row = { root, said, trace, content: make("div"), detail: make("div", "mv-detail"), note: make("div", "mv-note"), lines: make("div") };
      const select = () => { if (said.role === "button" && getSelection().isCollapsed) recall({ index }); };
      said.addEventListener("click", select);
      said.addEventListener("keydown", (event) => { if (event.key === "Enter") select(); });
      trace.addEventListener("toggle", () => { if (trace.open) trace.scrollIntoView({ block: "nearest" }); });
      said.append(row.content, row.detail, row.note);
      trace.append(Object.assign(make("summary"), { textContent: "How it was found" }), row.lines);
      root.append(said, trace);
      empty.before(root);
      rows.push(row);
    }
    function fill(row, message) {
      row.root.className = "mv-message " + (message.role === "user" ? "mv-user" : "mv-reply");
      write(row.content, message.content);
      write(row.detail, message.detail);
      write(row.note, message.note);
      if (write(row.lines, message.trace)) row.trace.open = false;
      row.trace.hidden = !message.trace;
      row.said.role = message.shows ? "button" : null;
      row.said.title = message.shows ? "Show its regions again" : "";
      if (message.shows) row.said.tabIndex = 0; else row.said.removeAttribute("tabindex");
    }
    function receive() {
      const value = parse(props.value);
      if (!value) return;
      const more = value.messages.length !== rows.length;
      const end = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;
      while (rows.length > value.messages.length) rows.pop().root.remove();
      while (rows.length < value.messages.length) add();
      rows.forEach((row, index) => fill(row, value.messages[index]));
      if (more || end) list.scrollTop = list.scrollHeight;
    }
    watch("value", receive);
    receive();
  }

  window.medvlm.chat = chat;
})();
