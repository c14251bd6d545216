package hcloudsim

import (
	"math/big"
	"net/http"
	"strconv"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"
)

// The catalog is what Hetzner sells: locations, server types and prices, as of
// spring 2026. The figures are plausible, not a reference.

const (
	snapshotPrice   = "0.0143" // net, a GB and month
	vatPercent      = 19
	includedTraffic = 20 << 40 // bytes a month
)

var locations = []schema.Location{
	{ID: 1, Name: "fsn1", Description: "Falkenstein DC Park 1", Country: "DE", City: "Falkenstein", Latitude: 50.47612, Longitude: 12.370071, NetworkZone: "eu-central"},
	{ID: 2, Name: "nbg1", Description: "Nuremberg DC Park 1", Country: "DE", City: "Nuremberg", Latitude: 49.452102, Longitude: 11.076665, NetworkZone: "eu-central"},
	{ID: 3, Name: "hel1", Description: "Helsinki DC Park 1", Country: "FI", City: "Helsinki", Latitude: 60.169855, Longitude: 24.938379, NetworkZone: "eu-central"},
	{ID: 4, Name: "ash", Description: "Ashburn, VA", Country: "US", City: "Ashburn, VA", Latitude: 39.045821, Longitude: -77.487073, NetworkZone: "us-east"},
	{ID: 5, Name: "hil", Description: "Hillsboro, OR", Country: "US", City: "Hillsboro, OR", Latitude: 45.54222, Longitude: -122.951924, NetworkZone: "us-west"},
	{ID: 6, Name: "sin", Description: "Singapore", Country: "SG", City: "Singapore", Latitude: 1.283333, Longitude: 103.833333, NetworkZone: "ap-southeast"},
}

// location is the named location, or one made up for an unknown name.
func location(name string) schema.Location {
	for _, l := range locations {
		if l.Name == name {
			return l
		}
	}
	return schema.Location{ID: 99, Name: name, Description: name, Country: "DE", City: name, NetworkZone: "eu-central"}
}

type product struct {
	id      int64
	name    string
	cores   int
	memory  float32 // GB
	disk    int     // GB
	cpu     string
	arch    string
	monthly string   // net
	at      []string // locations where it is offered
}

var (
	inEurope   = []string{"fsn1", "nbg1", "hel1"}
	everywhere = []string{"fsn1", "nbg1", "hel1", "ash", "hil", "sin"}
)

var products = []product{
	{114, "cx23", 2, 4, 40, "shared", "x86", "3.99", inEurope},
	{115, "cx33", 4, 8, 80, "shared", "x86", "6.49", inEurope},
	{116, "cx43", 8, 16, 160, "shared", "x86", "11.99", inEurope},
	{109, "cpx22", 2, 4, 80, "shared", "x86", "7.99", everywhere},
	{45, "cax11", 2, 4, 40, "shared", "arm", "4.49", inEurope},
	{96, "ccx13", 2, 8, 80, "dedicated", "x86", "15.99", everywhere},
}

// findProduct returns the product of that ID or name, nil where there is none.
func findProduct(idOrName string) *product {
	for i, p := range products {
		if idOrName == p.name || idOrName == strconv.FormatInt(p.id, 10) {
			return &products[i]
		}
	}
	return nil
}

// findLocation returns the name of the location of that ID or name.
func findLocation(idOrName string) (name string, ok bool) {
	for _, l := range locations {
		if idOrName == l.Name || idOrName == strconv.FormatInt(l.ID, 10) {
			return l.Name, true
		}
	}
	return "", false
}

// serverTypeJSON is a server type as the API shows it: its traffic is a matter
// of the location.
type serverTypeJSON struct {
	schema.ServerType
	IncludedTraffic dropped `json:"included_traffic,omitempty"`
}

// serverType is the named server type as offered at a location, or one like
// the smallest for an unknown name.
func serverType(name, at string) serverTypeJSON {
	found := products[0]
	found.id, found.name = 999, name
	for _, p := range products {
		if p.name == name {
			found = p
		}
	}
	return serverTypeJSON{ServerType: schema.ServerType{
		ID:           found.id,
		Name:         found.name,
		Description:  found.name,
		Category:     "cost_optimized",
		Cores:        found.cores,
		Memory:       found.memory,
		Disk:         found.disk,
		StorageType:  "local",
		CPUType:      found.cpu,
		Architecture: found.arch,
		Prices:       []schema.PricingServerTypePrice{found.price(at)},
		Locations: []schema.ServerTypeLocation{
			{ID: location(at).ID, Name: at, Recommended: true, Available: true},
		},
	}}
}

// price is the product's price at a location. Outside of Europe all is dearer.
func (p product) price(at string) schema.PricingServerTypePrice {
	monthly := decimal(p.monthly)
	if location(at).NetworkZone != "eu-central" {
		monthly.Mul(monthly, decimal("1.2"))
	}
	return schema.PricingServerTypePrice{
		Location:          at,
		PriceHourly:       hourly(monthly),
		PriceMonthly:      taxed(monthly),
		IncludedTraffic:   includedTraffic,
		PricePerTBTraffic: price("1"),
	}
}

// price is a net price with its gross, written with as many digits as the API
// does.
func price(net string) schema.Price { return taxed(decimal(net)) }

// hourly is the price of an hour: the month's is a cap that 26 days reach.
func hourly(monthly *big.Rat) schema.Price {
	return taxed(new(big.Rat).Quo(monthly, big.NewRat(26*24, 1)))
}

func taxed(net *big.Rat) schema.Price {
	gross := new(big.Rat).Mul(net, big.NewRat(100+vatPercent, 100))
	return schema.Price{Net: net.FloatString(16), Gross: gross.FloatString(16)}
}

func decimal(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic("hcloudsim: no decimal: " + text)
	}
	return r
}

// pricingJSON is the price list as the API shows it.
type pricingJSON struct {
	schema.Pricing
	PrimaryIPs []primaryIPJSON `json:"primary_ips"`
	Traffic    dropped         `json:"traffic,omitempty"`
}

type primaryIPJSON struct {
	Type   string               `json:"type"`
	Prices []primaryIPPriceJSON `json:"prices"`
}

type primaryIPPriceJSON struct {
	schema.PricingPrimaryIPTypePrice
	Datacenter dropped `json:"datacenter,omitempty"`
}

// pricing is the price list.
func pricing(currency string) pricingJSON {
	list := pricingJSON{Pricing: schema.Pricing{
		Currency:          currency,
		VATRate:           strconv.Itoa(vatPercent) + ".000000",
		Image:             schema.PricingImage{PricePerGBMonth: price(snapshotPrice)},
		Volume:            schema.PricingVolume{PricePerGBPerMonth: price("0.0572")},
		FloatingIP:        schema.PricingFloatingIP{PriceMonthly: price("3")}, //nolint:staticcheck // deprecated, and still sent
		ServerBackup:      schema.PricingServerBackup{Percentage: "20.000000"},
		LoadBalancerTypes: []schema.PricingLoadBalancerType{},
	}}
	for _, family := range []string{"ipv4", "ipv6"} {
		anHour, aMonth := "0.0008", "0.5"
		if family == "ipv6" {
			anHour, aMonth = "0", "0"
		}
		floating := schema.PricingFloatingIPType{Type: family}
		primary := primaryIPJSON{Type: family}
		for _, l := range locations {
			floating.Prices = append(floating.Prices, schema.PricingFloatingIPTypePrice{Location: l.Name, PriceMonthly: price("3")})
			primary.Prices = append(primary.Prices, primaryIPPriceJSON{PricingPrimaryIPTypePrice: schema.PricingPrimaryIPTypePrice{
				Location: l.Name, PriceHourly: price(anHour), PriceMonthly: price(aMonth),
			}})
		}
		list.FloatingIPs = append(list.FloatingIPs, floating)
		list.PrimaryIPs = append(list.PrimaryIPs, primary)
	}
	for _, p := range products {
		kind := schema.PricingServerType{ID: p.id, Name: p.name}
		for _, at := range p.at {
			kind.Prices = append(kind.Prices, p.price(at))
		}
		list.ServerTypes = append(list.ServerTypes, kind)
	}
	return list
}

func (c *call) getPricing() reply {
	return answer(http.StatusOK, map[string]any{"pricing": pricing(c.p.opts.Currency)})
}
