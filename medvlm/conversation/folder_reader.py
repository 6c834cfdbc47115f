"""A reader over any causal language model on disk, held to the grammar letter by letter."""

from __future__ import annotations

import contextlib
import copy
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.utils.logging import disable_progress_bar

from ..errors import LanguageError
from ..model.tokenizing import tokenized
from .grammar import TOOLS, Program, parse
from .instructions import FORM, MOST_TOKENS, UNREAD, messages, schemas
from .prefix import Legal, State
from .reader import Reading

WRITTEN = re.compile(r"[\w '’.(),;|=%-]+")  # what programs are written in, in lower case
MOST_SECONDS = 20.0  # of a reply in words
UNTOLD = (TemplateError, TypeError)  # of chat templates that know no tools, or no system message


class TokenTree:
    """The tokens of a vocabulary as a tree of letters, so that those a state allows are found without trying each."""

    def __init__(self, tokenizer: Any):
        self.text = dict(_texts(tokenizer))
        self.root: dict = {}
        for token, text in self.text.items():
            node = self.root
            for letter in text:
                node = node.setdefault(letter, {})
            node.setdefault("", []).append(token)

    def allowed(self, legal: Legal, state: State) -> list[int]:
        """The tokens that keep a text the prefix of a legal program."""
        out: list[int] = []
        open_to = [(self.root, state)]
        while open_to:
            node, there = open_to.pop()
            out += node.get("", ())
            ways = legal.ways(there)
            open_to += [(below, ways[letter]) for letter, below in node.items() if letter and letter in ways]
        return out


def _texts(tokenizer: Any) -> Iterator[tuple[int, str]]:
    """Each ordinary token with the text that it adds after another: alone, some tokenizers would drop its blank."""
    anchor = tokenizer.encode("(", add_special_tokens=False)[-1]
    special = set(tokenizer.all_special_ids)
    tokens = [token for token in range(len(tokenizer)) if token not in special]
    how = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    start = len(tokenizer.decode([anchor], **how))
    for token, text in zip(tokens, tokenizer.batch_decode([[anchor, t] for t in tokens], **how), strict=True):
        text = text[start:]
        if text == text.lower() and WRITTEN.fullmatch(text):
            yield token, text


class OnlyLegal(LogitsProcessor):
    """Lets through the tokens that keep what was written the prefix of a legal program, and the end behind a whole one.

    For one sequence, whose first `prompt` tokens are not looked at.
    """

    def __init__(self, tree: TokenTree, legal: Legal, prompt: int, ends: Sequence[int]):
        self.tree, self.legal, self.ends = tree, legal, list(ends)
        self.state, self.consumed = legal.start(), prompt

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        for token in input_ids[0, self.consumed :].tolist():
            self.state = self.legal.step(self.state, self.tree.text.get(token, ""))
        self.consumed = input_ids.shape[1]
        allowed = self.tree.allowed(self.legal, self.state)
        if self.legal.done(self.state) or not allowed:
            allowed = [*allowed, *self.ends]
        held = torch.full_like(scores, -torch.inf)
        held[:, allowed] = scores[:, allowed]
        return held  # type: ignore[return-value]


class FolderReader:
    """Reads with the causal language model in `folder`, by its chat template if it has one.

    `values` are those that "is=" may take. Raises `LanguageError` where the folder cannot be read, or where the model is too
    small to hold what it has to be told.
    """

    def __init__(self, folder: Path, values: Sequence[str] = (), device: str = "cpu"):
        self.folder, self.values = folder, tuple(values)
        disable_progress_bar()
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=_kind(device), local_files_only=True)
            self.tree = TokenTree(self.tokenizer)
            self.ends = self._ends()
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, IndexError) as error:
            raise LanguageError(
                f"The language model in {folder.name!r} cannot be read: {type(error).__name__}. Name a folder with a causal "
                "language model and its tokenizer, as transformers saves them."
            ) from error
        self.model.to(device).eval()  # type: ignore[arg-type]
        self.model.generation_config = GenerationConfig()  # its own may sample, or penalise repeated tokens
        self.how = GenerationConfig(
            do_sample=False,
            max_new_tokens=MOST_TOKENS,
            eos_token_id=self.ends,
            pad_token_id=self.ends[0],
            output_scores=True,
            return_dict_in_generate=True,
        )
        self.most = getattr(self.model.config.get_text_config(), "max_position_embeddings", None) or 10**9
        self.way, self.listed = self._way()
        self.shared, self.cache = self._prefix()

    def _ends(self) -> list[int]:
        """The tokens that end a reply."""
        own = self.model.generation_config.eos_token_id
        named = own if isinstance(own, list) else [own]
        ends = [end for end in dict.fromkeys([*named, self.tokenizer.eos_token_id]) if end is not None]
        if not ends:
            raise ValueError("no token ends a reply")
        return ends

    @torch.inference_mode()
    def _prefix(self) -> tuple[torch.Tensor, Any]:
        """The tokens with which every prompt begins, and the model's cache of them: computed once, as they are most of a prompt."""
        first, *others = self.tokens("?"), self.tokens("a b"), self.tokens("?", has_region=True)
        columns = zip(first[0].tolist(), *(other[0].tolist() for other in others), strict=False)
        shared = first[:, : sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))]
        if first.shape[1] + MOST_TOKENS > self.most:
            raise LanguageError(
                f"The language model takes {self.most:,} tokens at once and {first.shape[1] + MOST_TOKENS:,} are needed to "
                "tell it what to do: name another."
            )
        if getattr(self.model, "_is_stateful", False) or not shared.shape[1]:
            return shared[:, :0], None
        out = self.model(shared, use_cache=True)
        return shared, getattr(out, self._cache_name, None)

    @property
    def _cache_name(self) -> str:
        """What this version of transformers calls the states of a model."""
        return "cache" if "cache" in inspect.signature(self.model.forward).parameters else "past_key_values"

    def tokens(self, question: str, before: Program = (), has_region: bool = False) -> torch.Tensor:
        """The prompt `(1, T)`."""
        return self._coded(self.way(messages(question, before, has_region, self.values, self.listed)))

    def _coded(self, text: str) -> torch.Tensor:
        coded = tokenized(
            self.tokenizer, text, add_special_tokens=self.tokenizer.chat_template is None, return_tensors="pt"
        )
        return coded.input_ids.to(self.model.device)

    def _way(self) -> tuple[Callable[[list[dict[str, str]]], str], bool]:
        """How a chat becomes a prompt that holds every instruction, and whether its system message lists the tools:
        as the template's own tools and system message, else in the first question, else as plain text."""
        for tools, listed in ((schemas(), False), (None, True)):
            for folded in (False, True):
                way = partial(self._by_template, tools=tools, folded=folded)
                with contextlib.suppress(*UNTOLD):
                    text = way(messages("?", values=self.values, listed=listed)) if self.tokenizer.chat_template else ""
                    if FORM in text and TOOLS["present"].about in text:
                        return way, listed
        return _plain, True

    def _by_template(self, chat: list[dict[str, str]], tools: Any, folded: bool) -> str:
        if folded:
            system, first, *rest = chat
            chat = [{"role": "user", "content": f"{system['content']}\n\n{first['content']}"}, *rest]
        how: dict[str, Any] = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
        return str(self.tokenizer.apply_chat_template(chat, tools=tools, **how))

    @torch.inference_mode()
    def read(self, question: str, before: Program | None = None, has_region: bool = False) -> Reading:
        """The likeliest calls token by token, and the product of the tokens' chances among those allowed. What is not
        whole after 64 tokens, and a question that is too long for the model, is read as `recall()` with chance 0."""
        context = before or ()
        prompt = self.tokens(question, context, has_region)
        if prompt.shape[1] + MOST_TOKENS > self.most:
            return UNREAD
        held = OnlyLegal(self.tree, Legal(question, context, self.values), prompt.shape[1], self.ends)
        out = self.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            generation_config=self.how,
            logits_processor=LogitsProcessorList([held]),
            **self._begun(prompt),
        )
        written = out.sequences[0, prompt.shape[1] :].tolist()
        chance = sum(float(s[0].float().log_softmax(-1)[t]) for s, t in zip(out.scores, written, strict=True))
        try:
            calls = parse("".join(self.tree.text.get(token, "") for token in written))
        except ValueError:
            return UNREAD
        return Reading(calls, float(torch.tensor(chance).exp()))

    @property
    def called(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @torch.inference_mode()
    def tell(self, chat: Sequence[dict[str, Any]], most: int) -> str:
        """The model's likeliest reply to a chat, of at most `most` tokens and 20 seconds; nothing where the chat is too long
        for it."""
        prompt = self._coded(self._chat(list(chat)))
        if prompt.shape[1] + most > self.most:
            return ""
        how = GenerationConfig(
            do_sample=False,
            max_new_tokens=most,
            max_time=MOST_SECONDS,
            eos_token_id=self.ends,
            pad_token_id=self.ends[0],
        )
        out = self.model.generate(prompt, attention_mask=torch.ones_like(prompt), generation_config=how)
        return str(self.tokenizer.decode(out[0, prompt.shape[1] :], skip_special_tokens=True))

    def _chat(self, chat: list[dict[str, str]]) -> str:
        """A chat without tools as a prompt, by the template if that takes all of it."""
        for folded in (False, True):
            with contextlib.suppress(*UNTOLD):
                text = self._by_template(chat, None, folded) if self.tokenizer.chat_template else ""
                if chat[0]["content"] in text and chat[-1]["content"] in text:
                    return text
        return _plain(chat)

    def _begun(self, prompt: torch.Tensor) -> dict[str, Any]:
        """A copy of the states of what the prompt shares with every other, where it does."""
        count = self.shared.shape[1]
        if self.cache is None or not torch.equal(prompt[:, :count], self.shared) or prompt.shape[1] <= count:
            return {}
        return {self._cache_name: copy.deepcopy(self.cache)}


def _plain(chat: list[dict[str, str]]) -> str:
    """A chat for a model without a chat template: its messages, a line each."""
    return "\n".join([*(message["content"] for message in chat), ""])


def _kind(device: str) -> Any:
    """Full precision on a CPU, which is slow in any other; elsewhere as the model was saved."""
    return torch.float32 if device == "cpu" else "auto"
