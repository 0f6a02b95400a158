package tables

import (
	"net/netip"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// addrOf returns the address of an inet or of a string that is one; ok is false for other strings.
func addrOf(v feeds.Value) (a netip.Addr, ok bool) {
	if v.Kind() == feeds.Inet {
		return v.Addr().Unmap(), true
	}
	a, err := netip.ParseAddr(v.Str())
	return a.Unmap().WithZone(""), err == nil
}

// addrOperand checks that x is an inet, or a string that may hold one.
func (s *scope) addrOperand(at sql.Expr, x *expr, what string) (*expr, error) {
	if x.isOpen() {
		y, _, err := s.coerce(at, x, feeds.T(feeds.Inet))
		return y, err
	}
	if x.typ.Kind != feeds.Inet && x.typ.Kind != feeds.String {
		return nil, s.errorf(at, "", "%s needs an inet, %s is %s", what, x.text, typeName(x))
	}
	return x, nil
}

// inSubnet is in_subnet(address, '10.0.0.0/8'); a string that is no address is in no subnet.
func (s *scope) inSubnet(e *sql.Call, args []*expr) (*expr, error) {
	if err := s.arity(e, 2, "in_subnet(id.orig_h, '10.0.0.0/8')"); err != nil {
		return nil, err
	}
	x, err := s.addrOperand(e.Args[0], args[0], "in_subnet")
	if err != nil {
		return nil, err
	}
	net, ok, err := s.coerce(e.Args[1], args[1], feeds.T(feeds.Subnet))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, s.errorf(e.Args[1], "write '10.0.0.0/8'", "in_subnet needs a subnet, %s is %s", net.text, typeName(net))
	}
	text := sql.Format(e)
	if net.isNull() || x.isNull() {
		return constant(feeds.NullValue, feeds.T(feeds.Bool), text), nil
	}
	out := condition(text, func(slots []int) cond {
		value, subnet := x.eval(slots), net.eval(slots)
		if net.konst {
			prefix := canonicalPrefix(net.val.Prefix())
			return func(e *env) truth {
				v := value(e)
				if v.IsNull() {
					return unknown
				}
				a, ok := addrOf(v)
				return truthOf(ok && prefix.Contains(a))
			}
		}
		return func(e *env) truth {
			v, n := value(e), subnet(e)
			if v.IsNull() || n.IsNull() {
				return unknown
			}
			a, ok := addrOf(v)
			return truthOf(ok && canonicalPrefix(n.Prefix()).Contains(a))
		}
	})
	return s.fold(e, out, x, net)
}

// InSubnet reports whether an inet lies in a subnet, as in_subnet does; neither is NULL.
func InSubnet(address, subnet feeds.Value) bool {
	return canonicalPrefix(subnet.Prefix()).Contains(address.Addr().Unmap())
}

// canonicalPrefix turns ::ffff:10.0.0.0/104 into 10.0.0.0/8: one network in two spellings.
func canonicalPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// isPrivate is is_private(address): the networks of RFC 1918, 4193 and 6598, link-local and loopback addresses.
func (s *scope) isPrivate(e *sql.Call, args []*expr) (*expr, error) {
	if err := s.arity(e, 1, "is_private(id.orig_h)"); err != nil {
		return nil, err
	}
	x, err := s.addrOperand(e.Args[0], args[0], "is_private")
	if err != nil {
		return nil, err
	}
	shared := netip.MustParsePrefix("100.64.0.0/10")
	out := condition(sql.Format(e), func(slots []int) cond {
		value := x.eval(slots)
		return func(e *env) truth {
			v := value(e)
			if v.IsNull() {
				return unknown
			}
			a, ok := addrOf(v)
			return truthOf(ok && (a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || shared.Contains(a)))
		}
	})
	return s.fold(e, out, x)
}

// mask is mask(address, bits): the network of that many bits that the address lies in. mask(address, bits4, bits6) has a
// length for each family, for logs have both. Too many bits, and a string that is no address, have no value.
func (s *scope) mask(e *sql.Call, args []*expr) (*expr, error) {
	if len(args) != 2 && len(args) != 3 {
		return nil, s.errorf(e, "write mask(id.orig_h, 24) or mask(id.orig_h, 24, 64)", "mask takes 2 or 3 arguments, not %d", len(args))
	}
	x, err := s.addrOperand(e.Args[0], args[0], "mask")
	if err != nil {
		return nil, err
	}
	bits := make([]*expr, 2)
	for i := range bits {
		at := min(i+1, len(args)-1)
		if bits[i], err = s.integerOperand(e.Args[at], args[at], "mask"); err != nil {
			return nil, err
		}
	}
	out := &expr{typ: feeds.T(feeds.Subnet), text: sql.Format(e), column: -1}
	out.eval = ternaryEval(x, bits[0], bits[1], func(e *env, v, bits4, bits6 feeds.Value) feeds.Value {
		addr, ok := addrOf(v)
		if !ok {
			return e.none()
		}
		bits := clampInt(bits6)
		if addr.Is4() {
			bits = clampInt(bits4)
		}
		if bits < 0 || bits > int64(addr.BitLen()) {
			return e.none()
		}
		return feeds.SubnetValue(netip.PrefixFrom(addr, int(bits)).Masked())
	})
	return s.fold(e, out, x, bits[0], bits[1])
}
