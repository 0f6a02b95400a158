package processors

import "github.com/lovoo/goka"

// FailCallbacks makes the Goka callbacks of the stages of that kind fail before they do anything, as often as fail returns
// an error. It must be called before Run.
func (p *Processors) FailCallbacks(kind string, fail func() error) {
	p.built = func(s *stage) {
		if s.kind != kind {
			return
		}
		callback := s.callback
		s.callback = func(ctx goka.Context, work any) {
			if err := fail(); err != nil {
				ctx.Fail(err)
			}
			callback(ctx, work)
		}
	}
}
