// The conversation. Whatever a user, a file's name or a model says is set as text and never read as HTML.
(function () {
  "use strict";
  const { parse } = window.medvlm;
  const NEAR = 60; // pixels from the end: who reads further up is not pulled down

  function chat(element, recall, props, watch) {
    const list = element.querySelector(".mv-chat"), empty = list.querySelector(".mv-chat-empty");
    const rows = [];

    function add() {
      const row = document.createElement("div"), index = rows.length;
      const select = () => { if (row.role === "button" && getSelection().isCollapsed) recall({ index }); };
      row.addEventListener("click", select);
      row.addEventListener("keydown", (event) => { if (event.key === "Enter") select(); });
      empty.before(row);
      rows.push(row);
    }
    function fill(row, message) {
      row.className = "mv-message " + (message.role === "user" ? "mv-user" : "mv-reply");
      if (row.textContent !== message.content) row.textContent = message.content;
      row.role = message.shows ? "button" : null;
      row.title = message.shows ? "Show its regions again" : "";
      if (message.shows) row.tabIndex = 0; else row.removeAttribute("tabindex");
    }
    function receive() {
      const value = parse(props.value);
      if (!value) return;
      const more = value.messages.length !== rows.length;
      const end = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;
      while (rows.length > value.messages.length) rows.pop().remove();
      while (rows.length < value.messages.length) add();
      rows.forEach((row, index) => fill(row, value.messages[index]));
      if (more || end) list.scrollTop = list.scrollHeight;
    }
    watch("value", receive);
    receive();
  }

  window.medvlm.chat = chat;
})();
