// The conversation. Whatever a user, a file's name or a model says is set as text and never read as HTML.
(function () {
  "use strict";
  const { on, send, words, filled } = window.medvlm;
  const NEAR = 60; // pixels from the end: who reads further up is not pulled down
  const make = (tag, name) => Object.assign(document.createElement(tag), { className: name || "" });

  // Set a text where it is another one, so that a selection in it lives on; whether it was.
  function write(element, text) {
    const other = element.textContent !== text;
    if (other) element.textContent = text;
    return other;
  }

  // Below an answer that rests on an operating point: a slider over all of them. What one was worth is told while it moves,
  // and `move` is called when it is let go.
  function slider(index, move) {
    const root = make("div", "mv-point"), label = make("label"), name = make("span"), input = make("input"), worth = make("div", "mv-worth");
    let told = [], sent = null; // `sent`: the point that was moved to and that has not come back yet
    input.type = "range";
    worth.ariaLive = "off"; // the slider itself says it
    const tell = () => { write(worth, told[input.value]); input.setAttribute("aria-valuetext", told[input.value]); };
    input.addEventListener("input", tell);
    input.addEventListener("change", () => { sent = Number(input.value); move({ index, point: sent }); });
    label.append(name, input);
    root.append(label, worth);
    function show(points) {
      root.hidden = !points;
      if (!points) return;
      told = points.words;
      write(name, filled(words.chat.sensitivity, points));
      input.max = told.length - 1;
      if (points.at === sent) sent = null;
      if (sent === null && !input.matches(":active")) input.value = points.at;
      tell();
    }
    return { root, show };
  }

  function chat(element) {
    const list = element.querySelector(".mv-chat"), empty = list.querySelector(".mv-chat-empty");
    const rows = [];

    // A row: what is said, which a click recalls, and below it the slider of its operating point and the folded trace.
    function add() {
      const index = rows.length, root = make("div"), said = make("div", "mv-said"), trace = make("details", "mv-trace");
      const point = slider(index, (data) => send("move", data));
      const row = { root, said, point, trace, content: make("div"), detail: make("div", "mv-detail"), note: make("div", "mv-note"), lines: make("div") };
      const select = () => { if (row.content.role === "button" && getSelection().isCollapsed) send("recall", { index }); };
      said.addEventListener("click", select);
      said.addEventListener("keydown", (event) => {
        if (event.target !== row.content || (event.key !== "Enter" && event.key !== " ")) return;
        event.preventDefault();
        select();
      });
      trace.addEventListener("toggle", () => { if (trace.open) trace.scrollIntoView({ block: "nearest" }); });
      said.append(row.content, row.detail, row.note);
      trace.append(Object.assign(make("summary"), { textContent: words.chat.how }), row.lines);
      root.append(said, point.root, trace);
      empty.before(root);
      rows.push(row);
    }
    function fill(row, message) {
      row.root.className = "mv-message " + (message.role === "user" ? "mv-user" : "mv-reply");
      write(row.content, message.content);
      if (write(row.detail, message.detail)) medvlm.jumps(row.detail);
      write(row.note, message.note);
      if (write(row.lines, message.trace)) row.trace.open = false;
      row.trace.hidden = !message.trace;
      row.point.show(message.points);
      row.root.ariaBusy = Boolean(message.points && message.points.waits);
      row.content.role = message.shows ? "button" : null;
      row.content.title = message.shows ? words.chat.recall : "";
      if (message.shows) row.content.tabIndex = 0; else row.content.removeAttribute("tabindex");
    }
    on("chat", (value) => {
      const more = value.messages.length !== rows.length;
      const end = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;
      while (rows.length > value.messages.length) rows.pop().root.remove();
      while (rows.length < value.messages.length) add();
      rows.forEach((row, index) => fill(row, value.messages[index]));
      if (more || end) list.scrollTop = list.scrollHeight;
    });
  }

  // The field below and its buttons. It is emptied once its text was accepted, unless its user has typed on meanwhile.
  const field = () => document.querySelector("#mv-text textarea");
  const buttons = { "mv-ask-button": "ask", "mv-find-button": "find", "mv-report-button": "report" };
  document.addEventListener("click", ({ target }) => {
    const name = target.closest("button") && buttons[target.closest("button").id];
    if (name) send(name, name === "report" ? {} : { text: field().value });
  });
  document.addEventListener("keydown", (event) => {
    if (event.target !== field() || event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send("ask", { text: event.target.value });
  });
  on("accepted", (text) => {
    const input = field();
    if (input.value !== text) return;
    input.value = "";
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });

  Object.assign(window.medvlm, { chat });
})();
