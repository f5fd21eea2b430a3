# shellcheck shell=bash
# Sourced by bash: brings the settings of .env into the environment, as Compose would. What the
# environment already says wins. The file is read, not run: a value may hold `$`, spaces or quotes.
# DBFORGE_ENV_FILE names another file.

env_file="${DBFORGE_ENV_FILE:-.env}"
if [[ -r $env_file ]]; then
  while IFS= read -r line || [[ -n $line ]]; do
    [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Z][A-Z0-9_]*)=(.*)$ ]] || continue
    name=${BASH_REMATCH[2]}
    value=${BASH_REMATCH[3]}
    if [[ $value =~ ^\"([^\"]*)\"[[:space:]]*(#.*)?$ || $value =~ ^\'([^\']*)\'[[:space:]]*(#.*)?$ ]]; then
      value=${BASH_REMATCH[1]}
    else
      value=${value%%[[:space:]]#*}                       # a comment behind the value
      value=${value%"${value##*[![:space:]]}"}            # blanks behind the value
    fi
    [[ -v $name ]] || export "$name=$value"
  done <"$env_file"
fi
unset line name value
