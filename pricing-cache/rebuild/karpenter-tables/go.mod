module karpenter-tables

go 1.24

require github.com/aws/karpenter-provider-aws v1.15.1

require (
	github.com/aws/aws-sdk-go-v2/service/ec2 v1.336.1 // indirect
	github.com/aws/smithy-go v1.28.1 // indirect
)

// The generated tables alone, as ../sources.py lays them out here: the module as a whole needs a newer Go than many machines
// have, and hundreds of packages that have nothing to do with prices.
replace github.com/aws/karpenter-provider-aws => ./karpenter-provider-aws
