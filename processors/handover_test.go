package processors

import "testing"

func TestTicketsAreGoodOnce(t *testing.T) {
	var h handover
	a, b := h.deposit("a"), h.deposit("b")
	for ticket, want := range map[string]string{string(b): "b", string(a): "a"} {
		if got, err := h.Decode([]byte(ticket)); err != nil || got != want {
			t.Errorf("got %v, %v, want %s", got, err, want)
		}
	}
	if got, err := h.Decode(a); err == nil {
		t.Errorf("the ticket was redeemed twice: %v", got)
	}
	if _, err := h.Decode([]byte("short")); err == nil {
		t.Error("five bytes were taken for a ticket")
	}
	c := h.deposit("c")
	h.clear()
	if got, err := h.Decode(c); err == nil {
		t.Errorf("a cleared ticket gave %v", got)
	}
}
