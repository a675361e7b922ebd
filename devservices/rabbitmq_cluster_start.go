//go:build unix

package devservices

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// startCluster starts epmd, whose watchdog removes the folder in the end, then one
// node, and then the others, which join it.
func startCluster(ctx context.Context, n int, bin string, user *account) (*RabbitMQCluster, error) {
	dir, err := serviceFolder(ctx, "rabbitmq-cluster", "", user)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	c := &RabbitMQCluster{dir: dir}
	c.epmd, err = startWatchdog(watchdogConfig{
		dir: dir, temporary: true, user: user, signals: "KILL", script: epmdScript, args: []string{fmt.Sprint(port)},
	})
	if err != nil {
		return nil, err
	}
	c.close = sync.OnceValue(c.stop)
	secrets := map[string]string{"password": secret(), ".erlang.cookie": secret()}
	for i := range n {
		node, err := c.newNode(ctx, i, n, port, bin, user, secrets)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.nodes = append(c.nodes, node)
	}
	if err := c.startAll(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

const epmdScript = `
export ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$1 PATH=$PATH:/usr/lib/erlang/bin
run epmd
`

// secret returns what only this user's processes can read.
func secret() string { return rand.Text() }

// newNode makes the folder of a node.
func (c *RabbitMQCluster) newNode(ctx context.Context, i, n, epmd int, bin string, user *account, secrets map[string]string) (*clusterNode, error) {
	dir, err := serviceFolder(ctx, "rabbitmq", filepath.Join(c.dir, fmt.Sprint(i)), user)
	if err != nil {
		return nil, err
	}
	for name, value := range secrets {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(value), 0o400), user.own(path)); err != nil {
			return nil, err
		}
	}
	ports, err := freePorts()
	if err != nil {
		return nil, err
	}
	ports[2] = epmd
	settings := "cluster_partition_handling = pause_minority\nnet_ticktime = 10\ncluster_formation.peer_discovery_backend = classic_config\n"
	for peer := range n {
		settings += fmt.Sprintf("cluster_formation.classic_config.nodes.%d = %s\n", peer+1, nodeName(peer))
	}
	return &clusterNode{config: nodeConfig{
		bin: bin, user: user, dir: dir, signals: "KILL", name: nodeName(i), ports: ports, epmd: "shared", settings: settings,
	}}, nil
}

func nodeName(i int) string { return fmt.Sprintf("rabbit%d@localhost", i) }

// startAll starts the first node, and then the others at once.
func (c *RabbitMQCluster) startAll(ctx context.Context) error {
	if err := c.Start(ctx, 0); err != nil {
		return err
	}
	errs := make([]error, len(c.nodes))
	var starting sync.WaitGroup
	for i, node := range c.nodes[1:] {
		starting.Go(func() {
			node.broker, errs[i] = startNode(ctx, node.config)
			node.up = errs[i] == nil
		})
	}
	starting.Wait()
	return errors.Join(errs...)
}
