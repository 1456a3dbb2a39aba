package cli

import "errors"

// pages fetches a list page after page until limit entries are there, and tells whether there are more. A
// page may be short, even empty, while its cursor is not "".
func pages[T any](limit int, fetch func(cursor string, n int) (page []T, next string, err error)) (all []T, more bool, err error) {
	if limit < 1 {
		return nil, false, &exitError{ExitUsage, errors.New("--limit must be 1 or more")}
	}
	all = []T{} // in JSON a list, not null
	for cursor := ""; len(all) < limit; {
		page, next, err := fetch(cursor, min(limit-len(all), 1000))
		if err != nil {
			return nil, false, err
		}
		all = append(all, page...)
		if cursor, more = next, next != ""; !more {
			break
		}
	}
	return all, more, nil
}

// onlyOne reports whether exactly one of several ways to choose is used.
func onlyOne(used ...bool) bool {
	n := 0
	for _, u := range used {
		if u {
			n++
		}
	}
	return n == 1
}
