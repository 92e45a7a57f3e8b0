// Command quantity prints what Go's resource.Quantity makes of many texts, as tab-separated values:
//
//	text (as JSON)  canonical form  Value  MilliValue
//
// or "error" alone in the second column. Value and MilliValue are computed from the exact decimal, rounded away from zero and
// capped at 2^63 - 1 (Go's own accessors overflow for decimal quantities beyond that); the canonical form is "-" there.
// Rebuild the table with `go run . > ../../data/quantities.tsv`.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand"
	"os"
	"strconv"

	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/api/resource"
)

var odd = []string{
	"", " ", " 1", "1 ", "0", "00", "-0", "+0", "0.0", "-0.0", "+1", "-1", "+-1", "--1", "+", "-", ".", "-.", "m", "Ki", "e3", "E",
	".5", "5.", "-.5", "+.5", "5.m", ".5m", "1.Gi", ".5Ki", "-.5Ki", ".Ki", "1..2", "1.2.3",
	"1e3", "1E3", "1E", "1Ei", "1e", "1e+3", "1e-3", "1E-3", "1e+", "1e-", "1e--3", "1e3m", "1m3", "1Ki3", "1e3Ki", "1e1.5",
	"1.5Gi", "0.1Mi", "100m", "0.1m", "0.0001m", "1n", "0.1n", "-0.1n", "1.0000000001", "0.00000000001", "1u", "1.5u",
	"9223372036854775807", "9223372036854775808", "-9223372036854775808", "9223372036854775807.5", "18446744073709551616",
	"9E", "10E", "8Ei", "7Ei", "9Ei", "8Pi", "9223372036854775807Ki", "99999999999999999999Ki", "1e18", "1e19", "1e400", "1e-400",
	"0e400", "0.000e9", "1_0", "1_000", "0x1", "0b1", "1,5", "1,000", "NaN", "nan", "Inf", "-Inf", "inf", "1mi", "1gi", "1g", "1KI",
	"1K", "1kI", "1ki", "1Mib", "1MB", "1B", "1i", "1N", "1U", "1t", "1Mi ", "1 Mi", "\u0661", "1\u00b5", "1\n", "\t1", "1\x00",
	"0Ki", "-0Ki", "1023", "1Ki", "1023Ki", "1024Ki", "1025Ki", "1536Mi", "0.5Ki", "0.1Ki", "0.001Ki", "0.0001Ki", "0.00001Ki",
	"1.1Ki", "-1.1Ki", "1.5Ei", "0.9999999999Ki", "0.00000000000000000001Ei", "000000000000000000001", "00000000000000000000.5",
	"1000000", "1000k", "1001k", "10000m", "1000000n", "1500m", "2500u", "1e6", "1.5e6", "1500e-3", "12e-4", "3e-9", "3e-10", "1e1",
	"1e2", "10e2", "100000000000000000000n", "123456789012345678", "1234567890123456789", "0.123456789012345678", "1.5", "2", "4",
	"3.7", "-3.7", "-100m", "-1Gi", "-1.5Gi", "128974848", "129e6", "129M", "123Mi", "16Gi", "64Gi", "1Ti", "20G", "250m", "0.25",
}

func main() {
	inputs := append([]string{}, odd...)
	source := rand.New(rand.NewSource(1))
	suffixes := []string{"", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E-2", "e-7", "e+12"}
	for i := 0; i < 400; i++ {
		text := []string{"", "", "", "-", "+"}[source.Intn(5)]
		text += strconv.FormatInt(source.Int63()>>source.Intn(63), 10)
		if source.Intn(2) == 0 {
			text += "." + strconv.FormatInt(source.Int63()>>source.Intn(63), 10)
		}
		inputs = append(inputs, text+suffixes[source.Intn(len(suffixes))])
	}
	alphabet := "0123456789..+-eEinumkKMGTP"
	for i := 0; i < 200; i++ {
		text := ""
		for n := 1 + source.Intn(6); n > 0; n-- {
			text += string(alphabet[source.Intn(len(alphabet))])
		}
		inputs = append(inputs, text)
	}

	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	fmt.Fprintln(out, "text\tcanonical\tvalue\tmilliValue")
	seen := map[string]bool{}
	for _, text := range inputs {
		if seen[text] {
			continue
		}
		seen[text] = true
		quantity, err := resource.ParseQuantity(text)
		if err != nil {
			fmt.Fprintf(out, "%s\terror\t\t\n", quoted(text))
			continue
		}
		number, suffix := quantity.CanonicalizeBytes(make([]byte, 0, 64))
		canonical := string(number) + string(suffix)
		exact := quantity.AsDec()
		limit := inf.NewDec(math.MaxInt64, 0)
		if new(inf.Dec).Abs(exact).Cmp(limit) > 0 {
			canonical = "-"
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", quoted(text), canonical, capped(exact, 0), capped(exact, 3))
	}
}

// quoted is the text as a JSON string.
func quoted(text string) string {
	bytes, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(bytes)
}

// capped is the decimal times ten to the places, rounded away from zero, within 63 bits.
func capped(exact *inf.Dec, places inf.Scale) string {
	unit := inf.NewDec(math.MaxInt64, 0)
	value := new(inf.Dec).Set(exact)
	if new(inf.Dec).Abs(value).Cmp(unit) > 0 {
		if value.Sign() < 0 {
			return fmt.Sprint(-math.MaxInt64)
		}
		return fmt.Sprint(math.MaxInt64)
	}
	value.SetScale(value.Scale() - places)
	rounded := new(inf.Dec).Round(value, 0, inf.RoundUp)
	whole := rounded.UnscaledBig()
	if !whole.IsInt64() {
		if whole.Cmp(big.NewInt(0)) < 0 {
			return fmt.Sprint(-math.MaxInt64)
		}
		return fmt.Sprint(math.MaxInt64)
	}
	return whole.String()
}
