package traffic

// SharedAddress returns an IPv4 address that two hosts of n have, empty if there is none.
func SharedAddress(n *Network) string {
	seen := map[string]bool{gatewayAddr: true}
	for _, h := range n.office.all {
		if seen[h.addr] {
			return h.addr
		}
		seen[h.addr] = true
	}
	return ""
}
