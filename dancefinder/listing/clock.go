package listing

import (
	"errors"
	"regexp"
	"strings"
)

var (
	// In plain text, after joined and military.
	times = func() *regexp.Regexp {
		const at, clock = `(?:kl(?:ockan)?[.:]? ?)?`, `(\d{1,2})(?:[:,](\d{2})(?::00)?)?`
		return regexp.MustCompile(`^(?:från )?` + at + clock + `(?:(?: ?--? ?| till )(?:` + at + clock + `)?)?\.?$`)
	}()
	joined   = regexp.MustCompile(`(\d) ?[.:] ?(\d)`)
	military = regexp.MustCompile(`\b(\d{2})(00|15|30|45)\b`)

	// A number without minutes may be part of a band's name, a time may not.
	bandTime = regexp.MustCompile(`(?i)(?:kl(?:ockan)?\.? ?)?\d{1,2}[.:,]\d{2}(?: ?` + dashes + ` ?(?:\d{1,2}[.:,]\d{2})?)?`)
)

var errTime = errors.New("expected a time such as 21.00-01.00 or 21.00")

// parseTime reads "21.00-01.00", "kl. 21", "21,00" and the like. Both times are
// empty where text says that there is none; end alone is empty where only the
// start is known.
func parseTime(text string) (start, end string, err error) {
	text = plain(text)
	if strings.Trim(text, "-? ") == "" {
		return "", "", nil
	}
	text = military.ReplaceAllString(joined.ReplaceAllString(text, "$1:$2"), "$1:$2")
	m := times.FindStringSubmatch(text)
	if m == nil {
		return "", "", errTime
	}
	start, ok := clockTime(m[1], m[2])
	if !ok {
		return "", "", errTime
	}
	if m[3] == "" {
		return start, "", nil
	}
	if number(m[3]) == 24 && number(m[4]) == 0 { // midnight, as an end
		m[3] = "00"
	}
	end, ok = clockTime(m[3], m[4])
	if !ok {
		return "", "", errTime
	}
	return start, end, nil
}

func clockTime(hour, minute string) (string, bool) {
	if len(hour) == 1 {
		hour = "0" + hour
	}
	if minute == "" {
		minute = "00"
	}
	return hour + ":" + minute, hour < "24" && minute < "60"
}

// cutTime cuts the times off the beginning and end of a band's name. It
// returns the first of them, empty if there is none.
func cutTime(band string) (name, time string) {
	for _, at := range bandTime.FindAllStringIndex(band, -1) {
		before, after, found := band[:at[0]], band[at[1]:], band[at[0]:at[1]]
		atBeginning := before == "" && (after == "" || after[0] == ' ')
		atEnd := after == "" && strings.HasSuffix(before, " ")
		if _, _, err := parseTime(found); err == nil && (atBeginning || atEnd) {
			name, _ = cutTime(strings.TrimSpace(before + after))
			return name, found
		}
	}
	return band, ""
}
