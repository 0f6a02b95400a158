package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/brotally/brotally/internal/kafka"
)

// What the doctor takes for little. They are the project's judgement, not Kafka's.
const (
	soonExpired   = 30 * 24 * time.Hour // a certificate
	muchSkew      = 5 * time.Second     // between clocks: start = '-1 hour' and retention are counted by them
	shortOffsets  = 24 * time.Hour      // how long a cluster remembers the offsets of a group without members
	fullDisk      = 10                  // percent that are free
	shortTime     = time.Hour           // how long an input keeps records
	longestOpen   = 15 * time.Minute    // a transaction: what brokers allow unless told otherwise (transaction.max.timeout.ms)
	oneScreenWide = 3                   // names that a line lists
)

// checkBrokers tells of brokers and what they can.
func (d *doctor) checkBrokers(context.Context) {
	c := d.cluster
	at := slices.Sorted(maps.Values(c.Brokers))
	if len(at) > oneScreenWide {
		at = append(at[:oneScreenWide], "..")
	}
	d.add(statusOK, "brokers", fmt.Sprintf("%s (%s), controller %d, cluster %s", count(int64(len(c.Brokers)), "broker"), strings.Join(at, ", "), c.Controller, c.ID))
	version := "Kafka " + c.Version
	if c.Version == "" {
		version = "Kafka's protocol, of no release that we know"
	}
	if len(c.Lacks) > 0 {
		d.add(statusFail, "version", version+" lacks "+strings.Join(c.Lacks, ", "), "update the brokers to Kafka 2.8 or later")
		return
	}
	d.add(statusOK, "version", version+": transactions by group generation, topic ids")
}

// checkSecurity tells how we are connected, and for how long certificates are valid.
func (d *doctor) checkSecurity(ctx context.Context) {
	who := "nobody logs in"
	if m := d.cfg.SASL.Mechanism; m != "" {
		who = m + " as " + d.inspect.Principal()
	} else if d.cfg.TLS.CertFile != "" || d.cfg.TLS.CertPEM != "" {
		who = "certificate of " + d.inspect.Principal()
	}
	if !d.cfg.TLS.Enable {
		for _, addr := range d.cluster.Brokers {
			if !onLoopback(addr) {
				d.add(statusWarn, "security", "plain text to "+addr+", "+who, "whoever is between can read the logs: -X security.protocol=.. with TLS, if the brokers have it")
				return
			}
		}
		d.add(statusOK, "security", "plain text on this machine, "+who)
		return
	}
	var soonest *x509.Certificate
	version := ""
	for _, addr := range d.cluster.Brokers {
		state, err := d.inspect.Handshake(ctx, addr)
		if err != nil {
			d.add(statusFail, "security", addr+": "+err.Error())
			return
		}
		version = map[uint16]string{0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}[state.Version]
		for _, c := range state.PeerCertificates {
			if soonest == nil || c.NotAfter.Before(soonest.NotAfter) {
				soonest = c
			}
		}
	}
	s, advice := statusOK, []string(nil)
	if d.cfg.TLS.InsecureSkipVerify {
		s, advice = statusWarn, append(advice, "certificates are not verified: whoever is between can read and change everything; give the authority instead (--tls-ca)")
	}
	left := time.Until(soonest.NotAfter)
	if left < soonExpired {
		s, advice = statusWarn, append(advice, "renew the brokers' certificates before that")
	}
	d.add(s, "security", fmt.Sprintf("%s, %s; the brokers' certificates are valid until %s (%s)", version, who, soonest.NotAfter.UTC().Format(time.DateOnly), lasting(left)), advice...)
	d.checkOwnCertificate()
}

// checkOwnCertificate looks how long our own certificate is valid, if we have one.
func (d *doctor) checkOwnCertificate() {
	conf, err := d.cfg.Sarama()
	if err != nil || len(conf.Net.TLS.Config.Certificates) == 0 {
		return
	}
	own := conf.Net.TLS.Config.Certificates[0].Leaf
	left := time.Until(own.NotAfter)
	detail := fmt.Sprintf("of %s, valid until %s (%s)", own.Subject, own.NotAfter.UTC().Format(time.DateOnly), lasting(left))
	if left < soonExpired {
		d.add(statusWarn, "certificate", detail, "renew it before that")
		return
	}
	d.add(statusOK, "certificate", detail)
}

func onLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// checkClock compares clocks.
func (d *doctor) checkClock(ctx context.Context) {
	ahead, within, err := d.inspect.Clock(ctx, d.cluster)
	switch {
	case errors.Is(err, kafka.ErrNoClock):
		d.add(statusUnknown, "clock", "cannot be compared with the cluster's: "+err.Error())
		return
	case err != nil:
		d.cannot("clock", err)
		return
	}
	than, apart := "ahead of", ahead
	if ahead > 0 {
		than = "behind"
	}
	if apart < 0 {
		apart = -apart
	}
	detail := fmt.Sprintf("ours is %v %s the controller's, give or take %v", apart.Round(time.Millisecond), than, within.Round(time.Millisecond))
	switch {
	case apart <= within:
		d.add(statusOK, "clock", fmt.Sprintf("as the controller's, give or take %v", within.Round(time.Millisecond)))
	case apart-within > muchSkew:
		d.add(statusWarn, "clock", detail, "set both by NTP: retention, and start = '-1 hour' and the like, go by them")
	default:
		d.add(statusOK, "clock", detail)
	}
}

// checkSettings looks at the brokers' settings that we depend on.
func (d *doctor) checkSettings(ctx context.Context) {
	first := slices.Sorted(maps.Keys(d.cluster.Brokers))[0]
	settings, err := d.inspect.Settings(ctx, first)
	if err != nil {
		d.cannot("settings", err)
		return
	}
	conf, err := d.cfg.Sarama()
	if err != nil {
		d.cannot("settings", err)
		return
	}
	number := func(name string) (int64, bool) {
		n, err := strconv.ParseInt(settings[name], 10, 64)
		return n, err == nil
	}
	change := func(name, value string) string {
		return d.tool("kafka-configs") + " --alter --entity-type brokers --entity-default --add-config " + name + "=" + value
	}
	before := len(d.findings)
	if most, ok := number("transaction.max.timeout.ms"); ok && time.Duration(most)*time.Millisecond < conf.Producer.Transaction.Timeout {
		d.add(statusFail, "settings", fmt.Sprintf("transaction.max.timeout.ms=%d is less than our %d", most, conf.Producer.Transaction.Timeout.Milliseconds()),
			fmt.Sprintf("raise it on the brokers, or -X transaction.timeout.ms=%d", most))
	}
	if minutes, ok := number("offsets.retention.minutes"); ok && time.Duration(minutes)*time.Minute < shortOffsets {
		d.add(statusWarn, "settings", fmt.Sprintf("offsets.retention.minutes=%d: tables that no instance runs for that long cannot go on", minutes),
			"offsets.retention.minutes=10080 (a week, Kafka's default) in the brokers' server.properties")
	}
	replicas, _ := number("default.replication.factor")
	insync, _ := number("min.insync.replicas")
	if n := int64(len(d.cluster.Brokers)); n > 1 && replicas == 1 {
		d.add(statusWarn, "settings", fmt.Sprintf("default.replication.factor=1: our topics would be on one broker of %d each", n), fmt.Sprintf("default.replication.factor=%d in the brokers' server.properties", min(n, 3)))
	}
	if replicas > 0 && insync > replicas {
		d.add(statusFail, "settings", fmt.Sprintf("min.insync.replicas=%d is more than default.replication.factor=%d: nothing could be written to new topics", insync, replicas), change("min.insync.replicas", strconv.FormatInt(replicas, 10)))
	}
	if replicas > 2 && insync == 1 {
		d.add(statusWarn, "settings", fmt.Sprintf("min.insync.replicas=1 with %d replicas: what one broker alone has acknowledged can be lost with it", replicas), change("min.insync.replicas", "2"))
	}
	if most, ok := number("message.max.bytes"); ok && most < int64(conf.Producer.MaxMessageBytes) {
		d.add(statusFail, "settings", fmt.Sprintf("message.max.bytes=%d is less than the %d that we send at once", most, conf.Producer.MaxMessageBytes), fmt.Sprintf("raise it, or -X message.max.bytes=%d", most))
	}
	if len(d.findings) == before {
		detail := fmt.Sprintf("%s of a topic, %d in sync", count(replicas, "replica"), insync)
		if minutes, ok := number("offsets.retention.minutes"); ok {
			detail += ", offsets are kept " + lasting(time.Duration(minutes)*time.Minute)
		}
		d.add(statusOK, "settings", detail)
	}
}

// checkDisks looks at the brokers' disks and what ours take of them.
func (d *doctor) checkDisks(ctx context.Context) {
	disks, err := d.inspect.Disks(ctx)
	if err != nil {
		d.cannot("disk", err)
		return
	}
	own := d.ownTopics()
	for _, disk := range disks {
		check := fmt.Sprintf("disk of broker %d", disk.Broker)
		if disk.Err != nil {
			d.add(statusFail, check, disk.Path+": "+disk.Err.Error())
			continue
		}
		var ours, all int64
		for topic, size := range disk.Topics {
			all += size
			if slices.Contains(own, topic) {
				ours += size
			}
		}
		detail := fmt.Sprintf("%s: %s of ours, %s of all topics", disk.Path, bytesText(ours), bytesText(all))
		if disk.Total <= 0 || disk.Free > disk.Total {
			d.add(statusOK, check, detail+"; how much is free it does not say")
			continue
		}
		detail += fmt.Sprintf(", %s of %s free", bytesText(disk.Free), bytesText(disk.Total))
		if disk.Free*100 < disk.Total*fullDisk {
			d.add(statusWarn, check, detail, "a full disk stops the broker: shorten retention or add space")
			continue
		}
		d.add(statusOK, check, detail)
	}
}

// lasting writes a time in its largest unit.
func lasting(t time.Duration) string {
	switch {
	case t < 0:
		return "over"
	case t < 2*time.Minute:
		return count(int64(t.Seconds()), "second")
	case t < 2*time.Hour:
		return count(int64(t.Minutes()), "minute")
	case t < 48*time.Hour:
		return count(int64(t.Hours()), "hour")
	}
	return count(int64(t.Hours()/24), "day")
}

// bytesText writes a size with three digits at most.
func bytesText(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1000 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 || v >= 10 {
		return fmt.Sprintf("%.0f %s", v, units[i])
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}
