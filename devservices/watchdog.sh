# Runs a service for an owner and outlives the owner just long enough to stop it.
# Stdin is a pipe that only the owner holds: it ends with the owner, however that
# dies. Stdout and stderr tell the owner why the service did not run. The working
# directory is the service's folder. The service's own lines follow and call run.

trap '' HUP INT TERM # only the owner's end ends us
umask 077
: >devservices.log
exec 3<&0 4>&1 </dev/null >>devservices.log 2>&1
dir=$PWD temporary=$1 signals=$2
shift 2

# run COMMAND ARG... runs one program to its end, or until the owner is gone:
# then it sends each signal for ten seconds, and SIGKILL in the end. A signal is
# repeated because a program that has just started may not listen to it yet.
run() {
	exec "$@" 2>&1 3<&- 4>&- &
	service=$!
	{
		read -r _ <&3
		for signal in $signals KILL; do
			tries=200
			while [ $tries -gt 0 ]; do
				kill -s "$signal" $service || exit
				sleep 0.05
				tries=$((tries - 1))
			done
		done
	} 4>&- &
	guard=$!
	wait $service
	status=$?
	kill -s KILL $guard
	wait $guard
	return $status
} 2>/dev/null # the shell's own remarks on what ended

finish() {
	[ "$1" = 0 ] || tail -n 10 devservices.log >&4
	cd /
	# A program that was cut off may write a last file while we remove.
	tries=100
	while [ "$temporary" = yes ] && [ $tries -gt 0 ] && ! rm -rf "$dir"; do
		sleep 0.05
		tries=$((tries - 1))
	done
}
trap 'finish $?' EXIT
