import { FieldgateError } from "../base/errors.ts";
import type { Catalogue, Command } from "./command.ts";
import { say } from "./terminal.ts";

/** The command that writes what shells need to know of the others. */
export function completion(catalogue: Catalogue): Command {
  return {
    actions: Object.keys(SHELLS),
    help: HELP,
    async run({ json, rest }) {
      const [shell = ""] = rest;
      const write = Object.hasOwn(SHELLS, shell) ? SHELLS[shell as keyof typeof SHELLS] : undefined;
      if (write === undefined || rest.length !== 1) {
        throw new FieldgateError("ERR_USAGE", "completion knows bash, zsh and fish");
      }
      const script = write(await words(catalogue));
      say(json, { shell, script }, () => script);
      return 0;
    },
  };
}

const HELP = `fieldgate completion bash|zsh|fish   what a shell needs to complete commands, their actions and options

Examples:
  fieldgate completion bash > /etc/bash_completion.d/fieldgate
  fieldgate completion zsh > /usr/local/share/zsh/site-functions/_fieldgate
  fieldgate completion fish > ~/.config/fish/completions/fieldgate.fish

Exit codes: 0 written, 2 not a shell that is known
`;

/** What can follow a command's name. */
interface Words {
  readonly name: string;
  readonly about: string;
  readonly actions: readonly string[];
  /** With their dashes. */
  readonly options: readonly string[];
}

const COMMON = ["--config", "--socket", "--json", "--help"];
const SHELLS = { bash, zsh, fish };

async function words(catalogue: Catalogue): Promise<readonly Words[]> {
  const entries = Object.entries(catalogue).map(async ([name, { about, load }]) => {
    const { actions = [], options = {} } = (await load()).command;
    const own = Object.keys(options).map((option) => `--${option}`);
    const text = about[name] ?? Object.values(about).join("; ");
    return { name, about: text, actions, options: [...own, ...COMMON] };
  });
  return Promise.all(entries);
}

function bash(all: readonly Words[]): string {
  const cases = all.map(
    ({ name, actions, options }) =>
      `    ${name}) actions="${actions.join(" ")}"; options="${options.join(" ")}" ;;`,
  );
  return `# bash completion for fieldgate
_fieldgate() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} actions= options=
  case $before in
    --config|-c|--socket|--file|--out) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${all.map(({ name }) => name).join(" ")} --help --version" -- "$word"))
    return
  fi
  case \${COMP_WORDS[1]} in
${cases.join("\n")}
  esac
  if [[ $word == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$word"))
  elif [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W "$actions" -- "$word"))
  else COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o filenames -F _fieldgate fieldgate
`;
}

function zsh(all: readonly Words[]): string {
  const names = all.map(({ name, about }) => `    '${name}:${quoted(about)}'`);
  const cases = all.map(
    ({ name, actions, options }) =>
      `    ${name}) actions=(${actions.join(" ")}); options=(${options.join(" ")}) ;;`,
  );
  return `#compdef fieldgate
# zsh completion for fieldgate
_fieldgate() {
  local -a commands actions options
  commands=(
${names.join("\n")}
  )
  case $words[CURRENT-1] in
    --config|-c|--socket|--file|--out) _files; return ;;
  esac
  if (( CURRENT == 2 )); then
    _describe command commands
    compadd -- --help --version
    return
  fi
  case $words[2] in
${cases.join("\n")}
  esac
  if [[ $PREFIX == -* ]]; then compadd -a options
  elif (( CURRENT == 3 && \${#actions} )); then compadd -a actions
  else _files
  fi
}
if [ "$funcstack[1]" = _fieldgate ]; then _fieldgate "$@"; else compdef _fieldgate fieldgate; fi
`;
}

function fish(all: readonly Words[]): string {
  const lines = all.flatMap(({ name, about, actions, options }) => {
    const mine = `complete -c fieldgate -n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c fieldgate -n __fish_use_subcommand -f -a ${name} -d '${quoted(about)}'`,
      ...(actions.length === 0 ? [] : [`${mine} -f -a '${actions.join(" ")}'`]),
      ...options.map((option) => `${mine} -l ${option.slice(2)}`),
    ];
  });
  return `# fish completion for fieldgate\n${lines.join("\n")}\n`;
}

function quoted(text: string): string {
  return text.replaceAll("'", "").replaceAll(":", " ");
}
