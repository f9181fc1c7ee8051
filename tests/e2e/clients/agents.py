"""Requests as command-line agents send them: written after Claude Code, Codex, the Gemini CLI, and agents that speak
Chat Completions (OpenCode, Cline, aider). Many tools, rich schemas, and fields that only their own vendor knows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.clients.conversation import PNG

SESSION = "5a1c0f5e-41d5-4a34-9c0d-3b8f0a4d9a11"
RESULT = "src/tide.py\nsrc/chart.py"
BROKEN = "bash: gti: command not found"

# Keywords that agents' schemas hold: zod and pydantic write them.
_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "Absolute path", "minLength": 1, "pattern": "^/"},
        "limit": {"type": "integer", "minimum": 1, "maximum": 2000, "default": 200, "exclusiveMinimum": 0},
        "mode": {"type": "string", "enum": ["content", "files_with_matches", "count"], "default": "content"},
        "kind": {"const": "search"},
        "when": {"type": "string", "format": "date-time"},
        "either": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "maybe": {"type": ["string", "null"], "title": "Maybe"},
        "edits": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"old": {"type": "string"}, "new": {"type": "string"}, "all": {"type": "boolean"}},
                "required": ["old", "new"],
                "additionalProperties": False,
            },
        },
        "environment": {
            "type": "object",
            "propertyNames": {"type": "string"},
            "additionalProperties": {"type": "string"},
        },
        "tree": {"$ref": "#/$defs/node"},
    },
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
        }
    },
    "required": ["path"],
    "additionalProperties": False,
}
_SHIPPED = "Task,Bash,Glob,Grep,Read,Edit,Write,NotebookEdit,WebFetch,TodoWrite,KillShell,AskUserQuestion,Skill"
_NAMES = (
    *_SHIPPED.split(","),
    *(
        f"mcp__harbour-master__{verb}_{thing}"
        for verb in ("list", "get", "move")
        for thing in ("ship", "buoy", "pilot")
    ),
    *(f"mcp__plugin_sea_charts__chart_{number}" for number in range(12)),
)
TOOLS = [(name, f"Does what {name} does.\n\nUsage:\n- carefully", _SCHEMA) for name in _NAMES]
NOTHING = ("ExitPlanMode", "Takes nothing", {"type": "object", "properties": {}, "additionalProperties": False})


@dataclass(frozen=True)
class Agent:
    """`path` with `{model}` where the dialect has it in the address. `native` is the upstream of its own dialect,
    `tools` how many of its tools any model can be offered."""

    name: str
    native: str
    path: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    tools: int = len(TOOLS) + 1

    def url(self, model: str) -> str:
        return self.path.replace("{model}", model)

    def content(self, model: str) -> bytes:
        body = self.body if "{model}" in self.path else {"model": model, **self.body}
        return json.dumps(body, ensure_ascii=False).encode()


# ------------------------------------------------------------------------------------------------------- Claude Code
_CACHE = {"type": "ephemeral"}
_LONG_CACHE = {"type": "ephemeral", "ttl": "1h"}


def _claude_tools() -> list[dict[str, Any]]:
    tools = [{"name": name, "description": text, "input_schema": schema} for name, text, schema in (*TOOLS, NOTHING)]
    tools[-1]["cache_control"] = _CACHE
    return [
        *tools,
        {"name": "Later", "description": "Loaded when asked for", "input_schema": _SCHEMA, "defer_loading": True},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
    ]


_CLAUDE_BODY: dict[str, Any] = {
    "max_tokens": 32000,
    "stream": True,
    "temperature": 1,
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.0; cc_entrypoint=cli;"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": _LONG_CACHE},
        {"type": "text", "text": "# Tone\nBe short.", "cache_control": _LONG_CACHE},
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>\nThe date is 2026-11-20.\n</system-reminder>"},
                {"type": "text", "text": "Where are the sources?", "cache_control": _CACHE},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I will look."},
                {"type": "tool_use", "id": "toolu_01A", "name": "Glob", "input": {"path": "/src"}},
                {"type": "tool_use", "id": "toolu_01B", "name": "Bash", "input": {"path": "/", "kind": "search"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_01A", "content": RESULT},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_01B",
                    "content": [{"type": "text", "text": BROKEN}],
                    "is_error": True,
                    "cache_control": _CACHE,
                },
                {"type": "text", "text": "<system-reminder>Mind the tide.</system-reminder>"},
            ],
        },
    ],
    "tools": _claude_tools(),
    "tool_choice": {"type": "auto"},
    "metadata": {
        "user_id": json.dumps({"device_id": "d" * 64, "account_uuid": "", "session_id": SESSION}, separators=(",", ":"))
    },
    "thinking": {"type": "enabled", "budget_tokens": 31999},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
}
_CLAUDE_HEADERS = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27",
    "anthropic-dangerous-direct-browser-access": "true",
    "user-agent": "claude-cli/2.1.0 (external, cli)",
    "x-app": "cli",
    "x-stainless-helper-method": "stream",
    "x-claude-code-session-id": SESSION,
}
CLAUDE_CODE = Agent("claude-code", "anthropic", "/v1/messages?beta=true", _CLAUDE_BODY, _CLAUDE_HEADERS)
CLAUDE_CODE_ADAPTIVE = Agent(
    "claude-code-adaptive",
    "anthropic",
    "/v1/messages?beta=true",
    {**_CLAUDE_BODY, "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}, "temperature": None},
    _CLAUDE_HEADERS,
)
CLAUDE_CODE_PROBE = Agent(
    "claude-code-probe",
    "anthropic",
    "/v1/messages?beta=true",
    {
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "quota"}],
        "metadata": _CLAUDE_BODY["metadata"],
        "stream": True,
    },
    _CLAUDE_HEADERS,
)

# ------------------------------------------------------------------------------------------------------------- Codex
_PATCH_GRAMMAR = 'start: begin_patch hunk+ end_patch\nbegin_patch: "*** Begin Patch" LF\n%import common.LF'


def _codex_input() -> list[dict[str, Any]]:
    def said(role: str, *texts: str) -> dict[str, Any]:
        kind = "output_text" if role == "assistant" else "input_text"
        return {"type": "message", "role": role, "content": [{"type": kind, "text": text} for text in texts]}

    return [
        said("developer", "<permissions instructions>Ask before you write.</permissions instructions>"),
        said("user", "# AGENTS.md\nBe short.", "<environment_context><cwd>/src</cwd></environment_context>"),
        said("user", "Where are the sources?"),
        {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "gAAAAABpZW5jcnlwdGVk"},
        {**said("assistant", "I will look."), "phase": "commentary"},
        {"type": "function_call", "name": "exec_command", "arguments": '{"cmd":"ls"}', "call_id": "call_exec1"},
        {
            "type": "custom_tool_call",
            "status": "completed",
            "call_id": "call_patch2",
            "name": "apply_patch",
            "input": "*** Begin Patch\n*** End Patch",
        },
        {"type": "function_call_output", "call_id": "call_exec1", "output": RESULT},
        {"type": "custom_tool_call_output", "call_id": "call_patch2", "output": BROKEN},
        {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "tide 부산"}},
        said("user", "Go on."),
    ]


_CODEX_BODY: dict[str, Any] = {
    "instructions": "You are Codex, based on GPT-5.",
    "input": _codex_input(),
    "tools": [
        *(
            {"type": "function", "name": name, "description": text, "strict": False, "parameters": schema}
            for name, text, schema in (("exec_command", "Runs a command", _SCHEMA), *TOOLS, NOTHING)
        ),
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edits files",
            "format": {"type": "grammar", "syntax": "lark", "definition": _PATCH_GRAMMAR},
        },
        {"type": "web_search", "external_web_access": False},
        {"type": "local_shell"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": SESSION,
    "service_tier": "priority",
    "text": {"verbosity": "medium"},
    "client_metadata": {"x-codex-installation-id": SESSION},
}
CODEX = Agent(
    "codex",
    "responses",
    "/v1/responses",
    _CODEX_BODY,
    {
        "openai-beta": "responses=experimental",
        "originator": "codex_cli_rs",
        "session_id": SESSION,
        "conversation_id": SESSION,
        "user-agent": "codex_cli_rs/0.80.0 (Debian 12; x86_64)",
        "accept": "text/event-stream",
    },
)

# -------------------------------------------------------------------------------------------------------- Gemini CLI
_GEMINI_BODY: dict[str, Any] = {
    "systemInstruction": {"role": "user", "parts": [{"text": "You are an interactive CLI agent."}]},
    "contents": [
        {"role": "user", "parts": [{"text": "<session_context>2026-11-20</session_context>"}]},
        {"role": "user", "parts": [{"text": "Where are the sources?"}]},
        {
            "role": "model",
            "parts": [
                {"text": "I will look."},
                {
                    "functionCall": {"name": "Glob", "args": {"path": "/src"}},
                    "thoughtSignature": "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=",
                },
                {"functionCall": {"name": "Bash", "args": {"path": "/"}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "Glob-1763-0", "name": "Glob", "response": {"output": RESULT}}},
                {"functionResponse": {"id": "Bash-1763-1", "name": "Bash", "response": {"error": BROKEN}}},
            ],
        },
    ],
    "tools": [
        {
            "functionDeclarations": [
                {"name": name, "description": text, "parametersJsonSchema": schema}
                for name, text, schema in (*TOOLS, NOTHING)
            ]
        },
        {"googleSearch": {}},
        {"urlContext": {}},
    ],
    "generationConfig": {
        "temperature": 1,
        "topP": 0.95,
        "topK": 64,
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 8192},
    },
    "labels": {"session": SESSION},
}
GEMINI_CLI = Agent(
    "gemini-cli",
    "gemini",
    "/v1beta/models/{model}:streamGenerateContent?alt=sse",
    _GEMINI_BODY,
    {
        "user-agent": "GeminiCLI/0.20.0/gemini-3-pro (linux; x64)",
        "x-goog-api-client": "google-genai-sdk/1.30.0 gl-node/v22",
        "x-gemini-api-privileged-user-id": SESSION,
    },
)

# --------------------------------------------------------------------------------------------- Chat Completions agents
_CHAT_BODY: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "You are a coding agent.", "cache_control": _CACHE}]},
        {"role": "user", "content": [{"type": "text", "text": "Where are the sources?", "cache_control": _CACHE}]},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "I should look.",
            "tool_calls": [
                {"id": "call_0", "type": "function", "function": {"name": "Glob", "arguments": '{"path":"/src"}'}},
                {"id": "call_1", "type": "function", "function": {"name": "Bash", "arguments": ""}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_0", "content": RESULT, "name": "Glob"},
        {"role": "tool", "tool_call_id": "call_1", "content": BROKEN},
    ],
    "tools": [
        {"type": "function", "function": {"name": name, "description": text, "parameters": schema, "strict": False}}
        for name, text, schema in (*TOOLS, NOTHING)
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 8192,
    "temperature": 0,
    "top_p": 1,
    "presence_penalty": 0,
    "reasoning_effort": "high",
    "verbosity": "low",
    "prompt_cache_key": SESSION,
    "store": False,
    "user": "opencode",
    "metadata": {"session": SESSION},
    "service_tier": "auto",
    "reasoning": {"effort": "high"},
    "transforms": ["middle-out"],
    "usage": {"include": True},
}
CHAT_AGENT = Agent(
    "chat-agent",
    "openai",
    "/v1/chat/completions",
    _CHAT_BODY,
    {"http-referer": "https://opencode.ai/", "x-title": "opencode", "user-agent": "ai-sdk/openai-compatible"},
)
AGENTS = (CLAUDE_CODE, CLAUDE_CODE_ADAPTIVE, CLAUDE_CODE_PROBE, CODEX, GEMINI_CLI, CHAT_AGENT)
