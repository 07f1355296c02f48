/* The scripts of `belay completion`: each asks `belay __complete` (complete.c) and shows what it says. */
#include <stdio.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/verbs.h"

static const char bash_script[] =
        "# bash completion for belay: source this, or put it where bash-completion looks.\n"
        "_belay() {\n"
        "        local word=${COMP_WORDS[COMP_CWORD]} lines line\n"
        "        mapfile -t lines < <(\"${COMP_WORDS[0]}\" __complete -- "
        "\"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
        "        COMPREPLY=()\n"
        "        case ${lines[0]} in\n"
        "        :files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$word\") "
        ";;\n"
        "        :dirs) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$word\") "
        ";;\n"
        "        *) for line in \"${lines[@]}\"; do COMPREPLY+=(\"${line%%$'\\t'*}\"); done ;;\n"
        "        esac\n"
        "}\n"
        "complete -F _belay belay\n";

static const char zsh_script[] =
        "#compdef belay\n"
        "# zsh completion for belay: put it as _belay into a directory of $fpath, or eval it after "
        "compinit.\n"
        "_belay() {\n"
        "        local -a lines described\n"
        "        local line\n"
        "        lines=(\"${(@f)$(\"${words[1]}\" __complete -- \"${(@)words[2,CURRENT]}\" "
        "2>/dev/null)}\")\n"
        "        case ${lines[1]} in\n"
        "        :files) _files; return ;;\n"
        "        :dirs) _files -/; return ;;\n"
        "        '') return 1 ;;\n"
        "        esac\n"
        "        for line in $lines; do\n"
        "                "
        "described+=(\"${${line%%$'\\t'*}//:/\\\\:}${${(M)line%$'\\t'*}/$'\\t'/:}\")\n"
        "        done\n"
        "        _describe -V belay described\n"
        "}\n"
        "if [[ ${funcstack[1]} = _belay ]]; then _belay \"$@\"; else compdef _belay belay; fi\n";

static const char fish_script[] =
        "# fish completion for belay: put it as belay.fish into a directory of "
        "$fish_complete_path.\n"
        "function __belay_complete\n"
        "        set -l words (commandline -opc) (commandline -ct)\n"
        "        set -l lines ($words[1] __complete -- $words[2..-1] 2>/dev/null)\n"
        "        switch \"$lines[1]\"\n"
        "                case :files\n"
        "                        __fish_complete_path (commandline -ct)\n"
        "                case :dirs\n"
        "                        __fish_complete_directories (commandline -ct)\n"
        "                case '*'\n"
        "                        printf '%s\\n' $lines\n"
        "        end\n"
        "end\n"
        "complete -c belay -f -k -a '(__belay_complete)'\n";

static const struct {
        const char *shell, *script;
} scripts[] = {
        {"bash", bash_script},
        {"zsh", zsh_script},
        {"fish", fish_script},
};

int verb_completion(App *app) {
        for (size_t i = 0; i < COUNT_OF(scripts); i++) {
                if (!str_equal(scripts[i].shell, app->args[0]))
                        continue;
                json_t *object = json_object();
                js_set_str(object, "shell", scripts[i].shell);
                js_set_str(object, "script", scripts[i].script);
                app_print_json(app, object);
                if (!app->json)
                        fputs(scripts[i].script, stdout);
                return 0;
        }
        return app_usage(
                app, "there is completion for bash, zsh and fish, not for '%.40s'", app->args[0]);
}
