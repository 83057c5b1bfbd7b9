# Completion of wflog for bash: subcommands, options, their values, and the ids of
# executions and workflows, which are asked from the database that the command line
# so far (or the environment) names. Nothing is asked that would need a password.

# The options in a subcommand's help, as long as there is only one place that lists them.
_wflog_options()
{
	command wflog "$1" --help 2>/dev/null | grep -oE -- '(^|[ ,/])--?[a-zA-Z][a-z-]*=?' | tr -d ' ,/' |
		sort -u
}

# Values of a field of the latest executions.
_wflog_executions()
{
	local word where=() i
	for ((i = 2; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
			-d | -h | -p | -U)	where+=("$word" "${COMP_WORDS[i + 1]}") ;;
		esac
	done
	PGCONNECT_TIMEOUT=2 command wflog ls -w -n 200 --json "${where[@]}" 2>/dev/null </dev/null |
		sed -n "s/.*\"$1\":\"\([^\"\\ ]*\)\".*/\1/p" | sort -u
}

_wflog()
{
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} values=
	COMPREPLY=()

	if [ "$COMP_CWORD" -eq 1 ]; then
		values="$(command wflog --help 2>/dev/null | sed -n 's/^  \([a-z]*\)  .*/\1/p') help --help --version"
		mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")
		return
	fi
	# --option=value comes as three words, --option value as two
	if [ "$previous" = = ]; then
		previous=${COMP_WORDS[COMP_CWORD - 2]}
	elif [ "$current" = = ]; then
		current=
	fi
	case $previous in
		--level | -l)	values='debug info warning error critical' ;;
		--status)		values='new pending running paused waiting_for_human success failed cancelled' ;;
		--category)		values='technical business' ;;
		--color)		values='auto always never' ;;
		--format)		values='ndjson csv' ;;
		--event-type)	values='workflow_started workflow_completed workflow_progress step_started
			step_input step_output step_completed step_error separator log' ;;
		--since | --until)	values='5m 1h 1d today yesterday' ;;
		--workflow)		values=$(_wflog_executions workflow_id) ;;
		--execution)	values=$(_wflog_executions execution_id) ;;
		--output | -o)
			[ "${COMP_WORDS[1]}" = logs ] && values='text raw json ndjson csv' ;;
		-d | --dbname | -h | --host | -p | --port | -U | --username | -n | --tail | --attempt | -g | --grep)
			return ;;
		help)			values=$(command wflog --help 2>/dev/null | sed -n 's/^  \([a-z]*\)  .*/\1/p') ;;
		*)
			case $current in
				-*)	values=$(_wflog_options "${COMP_WORDS[1]}") ;;
				*)	case ${COMP_WORDS[1]} in
						logs | inspect | export)	values=$(_wflog_executions execution_id) ;;
					esac ;;
			esac ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")
	# after "--option=" no blank
	if [ ${#COMPREPLY[@]} -eq 1 ] && [ "${COMPREPLY[0]: -1}" = = ]; then
		compopt -o nospace 2>/dev/null
	fi
}
complete -o default -F _wflog wflog
