package devservices

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// nodeConfig is what a broker, or a node of a cluster, runs with.
type nodeConfig struct {
	bin       string
	user      *account
	dir       string
	temporary bool
	signals   string
	name      string
	ports     [3]int // AMQP, Erlang's distribution, epmd
	epmd      string // own, or shared with other nodes
	settings  string // lines for rabbitmq.conf
}

func startNode(ctx context.Context, config nodeConfig) (*RabbitMQ, error) {
	env := []string{
		"RABBITMQ_NODENAME=" + config.name,
		fmt.Sprintf("RABBITMQ_NODE_PORT=%d", config.ports[0]),
		fmt.Sprintf("RABBITMQ_DIST_PORT=%d", config.ports[1]),
		fmt.Sprintf("ERL_EPMD_PORT=%d", config.ports[2]),
	}
	log := filepath.Join(config.dir, "devservices.log")
	if err := os.Truncate(log, 0); err != nil && !errors.Is(err, fs.ErrNotExist) { // what a start before this one has said
		return nil, err
	}
	dog, err := startWatchdog(watchdogConfig{
		dir:       config.dir,
		temporary: config.temporary,
		user:      config.user,
		signals:   config.signals,
		script:    rabbitMQScript,
		args:      append([]string{config.bin, config.epmd, config.settings}, env...),
	})
	if err != nil {
		return nil, err
	}
	if err := waitStarted(ctx, dog, log, config.ports[:]); err != nil {
		return nil, errors.Join(err, dog.stop())
	}
	password, err := os.ReadFile(filepath.Join(config.dir, "password"))
	if err != nil {
		return nil, errors.Join(err, dog.stop())
	}
	address := url.URL{
		Scheme: "amqp",
		User:   url.UserPassword("devservices", string(password)),
		Host:   net.JoinHostPort("127.0.0.1", strconv.Itoa(config.ports[0])),
		Path:   "/",
	}
	return &RabbitMQ{
		url:     address.String(),
		ctl:     filepath.Join(config.bin, "rabbitmqctl"),
		env:     append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + config.dir, "LC_ALL=C.UTF-8"}, env...),
		dir:     config.dir,
		user:    config.user,
		pidFile: filepath.Join(config.dir, "pid"),
		stopped: dog.done,
		close:   sync.OnceValue(dog.stop),
	}, nil
}

// rabbitMQScript runs under the watchdog, in the service's folder. epmd is started
// here because the one that Erlang starts by itself would go on after us. As under
// systemd the server's script makes way for the server, which then gets the signals.
const rabbitMQScript = `
bin=$1 epmd=$2 settings=$3
shift 3
export "$@" ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 \
	RABBITMQ_MNESIA_BASE="$dir/data" RABBITMQ_LOG_BASE="$dir/log" RABBITMQ_LOGS=- RABBITMQ_PID_FILE="$dir/pid" \
	RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf" RABBITMQ_GENERATED_CONFIG_DIR="$dir/data" RABBITMQ_CONF_ENV_FILE=/dev/null \
	RABBITMQ_ENABLED_PLUGINS_FILE="$dir/enabled_plugins" RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
	RUNNING_UNDER_SYSTEMD=yes LC_ALL=C.UTF-8 PATH=$PATH:/usr/lib/erlang/bin
[ -s password ] || od -A n -t x1 -N 16 /dev/urandom | tr -d ' \n' >password
printf 'default_user = devservices\ndefault_pass = %s\ndisk_free_limit.absolute = 10MB\n%s' "$(cat password)" "$settings" >rabbitmq.conf
echo '[].' >enabled_plugins
if [ "$epmd" = own ]; then
	epmd 3<&- 4>&- &
	epmd=$!
fi
run "$bin/rabbitmq-server"
status=$?
if [ "$epmd" != shared ]; then
	kill -s KILL $epmd
	wait $epmd
fi
(exit $status)
`

// waitStarted waits for the broker's own word that it is complete.
func waitStarted(ctx context.Context, dog *watchdog, log string, ports []int) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-dog.done:
			for _, port := range ports {
				if isTaken(port) {
					return errPortTaken
				}
			}
			return fmt.Errorf("it stopped: %s", dog.lastWords())
		case <-tick.C:
		}
		content, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		if strings.Contains(string(content), "Server startup complete") {
			return nil
		}
	}
}

func freePorts() (ports [3]int, err error) {
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return ports, err
		}
	}
	return ports, nil
}
