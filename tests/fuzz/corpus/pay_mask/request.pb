
irisg0000*'
predictFP32*2мл▄?ffж@33ц@ff@